// Depth order of the visible splats. The sort is stable, so ties stay in splat order.

#include "cuda/radix_sort.cuh"

namespace recon_cuda {

void sort_by_depth(const Frame &f, Stream stream) {
  // The first pass drops what is invisible, so that the others have less to do.
  SortPass<uint32_t> pass = {
      f.depth_keys,       f.sort_keys[1], nullptr, f.sort_ids[1], nullptr, f.n, 0,
      &f.status->visible, f.digits};
  run_sort_pass(pass, stream);
  for (int i = 1; i < 4; ++i) {
    pass = {f.sort_keys[i & 1],
            f.sort_keys[(i & 1) ^ 1],
            f.sort_ids[i & 1],
            f.sort_ids[(i & 1) ^ 1],
            &f.status->visible,
            f.n,
            8 * i,
            nullptr,
            f.digits};
    run_sort_pass(pass, stream);
  }
}

} // namespace recon_cuda
