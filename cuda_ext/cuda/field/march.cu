// Where rays take samples: all distances of the table whose point lies in an occupied cell. Counted
// ray by ray, then written one ray after another.

#include "cuda/field/frame.cuh"
#include "cuda/field/scan.cuh"

namespace recon_cuda {

namespace {

template <class Take>
__device__ __forceinline__ void walk(const FieldFrame &f, const RayState &ray, Take &&take) {
  const float reach = recon::coarse_reach(f.shape);
  const int coarse = f.shape.grid / recon::kCoarse;
  for (int k = ray.k; k < ray.end;) {
    const float dt = f.table.dt[k], t = f.table.t[k] + ray.jitter * dt;
    float p[3], u[3];
    for (int i = 0; i < 3; ++i)
      p[i] = ray.origin[i] + t * ray.direction[i];
    recon::unit_from_box(f.shape.contracted, p, u);
    if (f.coarse[recon::cell_at(u, coarse)] == 0) {
      const int steps = recon::steps_at_once(f.table, k, reach);
      if (steps > 0) {
        k += steps;
        continue;
      }
    }
    bool inside = true;
    for (int i = 0; i < 3; ++i)
      inside = inside && u[i] >= 0.0f && u[i] < 1.0f;
    if (inside && recon::occupied(f.bits, recon::cell_at(u, f.shape.grid)))
      take(u, t, dt);
    ++k;
  }
}

__global__ void __launch_bounds__(kFieldThreads) march_count_kernel(FieldFrame f) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays)
    return;
  uint32_t n = 0;
  walk(f, f.ray[r], [&](const float *, float, float) { ++n; });
  f.ray_samples[r] = n;
}

__global__ void __launch_bounds__(kScanWidth) march_scan_kernel(FieldFrame f) {
  const uint64_t total = scan_lists(f.ray_samples, f.sample_begin, f.rays);
  if (threadIdx.x != 0)
    return;
  FieldStatus &s = *f.status;
  s.samples = admit(total, f.sample_capacity, &s.wanted_samples);
  s.overflow |= s.samples < s.wanted_samples;
}

__global__ void __launch_bounds__(kFieldThreads) march_emit_kernel(FieldFrame f) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays || f.status->samples == 0)
    return;
  uint32_t at = f.sample_begin[r];
  walk(f, f.ray[r], [&](const float *u, float t, float dt) {
    for (int i = 0; i < 3; ++i)
      f.u[i * static_cast<int64_t>(f.sample_capacity) + at] = u[i];
    f.t[at] = t;
    f.dt[at] = dt;
    f.owner[at] = r;
    ++at;
  });
}

} // namespace

void march(const FieldFrame &f, Stream stream) {
  const uint32_t blocks = blocks_for(f.rays, kFieldThreads);
  RECON_LAUNCH(march_count_kernel, blocks, kFieldThreads, stream, f);
  RECON_LAUNCH(march_scan_kernel, 1, kScanWidth, stream, f);
  RECON_LAUNCH(march_emit_kernel, blocks, kFieldThreads, stream, f);
}

} // namespace recon_cuda
