// Where rays take samples: the distances of the table whose point lies in an occupied cell, in each
// round a few. Counted ray by ray, then written one ray after another.

#include "cuda/field/frame.cuh"
#include "cuda/field/scan.cuh"

namespace recon_cuda {

namespace {

// Calls take(u, t, dt) for the next samples of a ray, `most` at most. Returns where the ray goes
// on.
template <class Take>
__device__ __forceinline__ int walk(const FieldFrame &f, const RayState &ray, uint32_t most,
                                    Take &&take) {
  const float reach = recon::coarse_reach(f.shape);
  const int coarse = f.shape.grid / recon::kCoarse;
  int k = ray.k;
  for (uint32_t n = 0; k < ray.end && n < most;) {
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
    if (inside && recon::occupied(f.bits, recon::cell_at(u, f.shape.grid))) {
      take(u, t, dt);
      ++n;
    }
    ++k;
  }
  return k;
}

__global__ void __launch_bounds__(kFieldThreads) march_count_kernel(FieldFrame f, int round) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays)
    return;
  uint32_t n = 0;
  const RayState ray = f.ray[r];
  if (f.status->overflow == 0 && ray.transmittance >= f.march.min_transmittance)
    walk(f, ray, round_samples(round), [&](const float *, float, float) { ++n; });
  f.round_counts[round * f.ray_capacity + r] = n;
}

__global__ void __launch_bounds__(kScanWidth) march_scan_kernel(FieldFrame f, int round) {
  const uint32_t before = f.status->samples, row = round * f.ray_capacity;
  const uint64_t all = scan_lists(f.round_counts + row, f.round_begins + row, f.rays, before);
  __syncthreads(); // every thread has read what is written now
  if (threadIdx.x != 0)
    return;
  FieldStatus &s = *f.status;
  s.round_begin = before;
  if (s.overflow != 0)
    return; // what was wanted is known already
  s.overflow = admit(all, f.sample_capacity, &s.wanted_samples) < s.wanted_samples;
  s.samples = s.overflow != 0 ? before : s.wanted_samples;
}

__global__ void __launch_bounds__(kFieldThreads) march_emit_kernel(FieldFrame f, int round) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays || f.status->overflow != 0)
    return;
  const RayState ray = f.ray[r];
  if (f.round_counts[round * f.ray_capacity + r] == 0) {
    f.ray[r].k = ray.end; // there is nothing further on
    return;
  }
  uint32_t at = f.round_begins[round * f.ray_capacity + r];
  f.ray[r].k = walk(f, ray, round_samples(round), [&](const float *u, float t, float dt) {
    for (int i = 0; i < 3; ++i)
      f.u[i * static_cast<int64_t>(f.sample_capacity) + at] = u[i];
    f.t[at] = t;
    f.dt[at] = dt;
    f.owner[at] = r;
    ++at;
  });
}

} // namespace

void march(const FieldFrame &f, int round, Stream stream) {
  const uint32_t blocks = blocks_for(f.rays, kFieldThreads);
  RECON_LAUNCH(march_count_kernel, blocks, kFieldThreads, stream, f, round);
  RECON_LAUNCH(march_scan_kernel, 1, kScanWidth, stream, f, round);
  RECON_LAUNCH(march_emit_kernel, blocks, kFieldThreads, stream, f, round);
}

} // namespace recon_cuda
