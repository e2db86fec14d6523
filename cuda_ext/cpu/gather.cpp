// Rearranging splats that are stored as blocks.

#include "cpu/engine.h"

#include "cpu/threads.h"

namespace recon_cpu {

namespace {

struct Gather {
  const float *in;
  const int64_t *sources;
  int64_t n;
  float *out;
};

constexpr int64_t kBlocksAChunk = 64;

void gather_chunk(void *context, int chunk, int) {
  const Gather &g = *static_cast<const Gather *>(context);
  const int64_t blocks = (g.n + kBlock - 1) / kBlock;
  const int64_t first = chunk * kBlocksAChunk;
  const int64_t last = first + kBlocksAChunk < blocks ? first + kBlocksAChunk : blocks;
  for (int64_t block = first; block < last; ++block) {
    const float *from[kBlock]; // null: zeros
    for (int lane = 0; lane < kBlock; ++lane) {
      const int64_t at = block * kBlock + lane;
      const int64_t source = at < g.n ? g.sources[at] : -1;
      from[lane] = source < 0 ? nullptr : g.in + source / kBlock * kRows * kBlock + source % kBlock;
    }
    float *to = g.out + block * kRows * kBlock;
    for (int row = 0; row < kRows; ++row)
      for (int lane = 0; lane < kBlock; ++lane)
        to[row * kBlock + lane] = from[lane] == nullptr ? 0.0f : from[lane][row * kBlock];
  }
}

} // namespace

void gather_splats(const float *in, const int64_t *sources, int64_t n, float *out) {
  Gather g = {in, sources, n, out};
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  parallel_for(static_cast<int>((blocks + kBlocksAChunk - 1) / kBlocksAChunk), gather_chunk, &g);
}

} // namespace recon_cpu
