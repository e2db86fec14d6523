// Along rays, a thread a ray: blending weights, what a ray shows, the loss, and the gradients that
// the networks' backward passes begin with.

#include "cuda/field/frame.cuh"
#include "cuda/field/scan.cuh"

namespace recon_cuda {

namespace {

__global__ void __launch_bounds__(kFieldThreads) blend_kernel(FieldFrame f, int round) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  const uint32_t at = round * f.ray_capacity + r;
  uint32_t n = 0;
  if (r < f.rays) {
    float transmittance = f.ray[r].transmittance;
    uint32_t live = round == 0 ? 0u : f.ray_live[r];
    const uint32_t begin = f.round_begins[at];
    const uint32_t count = f.status->overflow == 0 ? f.round_counts[at] : 0u;
    // What lies behind the end of the ray is not looked at again.
    for (; n < count && transmittance >= f.march.min_transmittance; ++n) {
      const uint32_t s = begin + n;
      const float w = recon::blend(f.opacity[s], f.march.min_transmittance, transmittance);
      const bool counts = w > f.march.min_weight;
      f.weight[s] = counts ? w : 0.0f;
      f.after[s] = transmittance;
      live += counts;
    }
    f.ray[r].transmittance = transmittance;
    f.round_counts[at] = n;
    f.ray_live[r] = live;
  }
  const uint32_t marched = block_sum<uint32_t, kFieldThreads>(n);
  if (threadIdx.x == 0 && marched != 0)
    atomicAdd(&f.status->marched, marched); // of integers: in any order
}

__global__ void __launch_bounds__(kScanWidth) live_scan_kernel(FieldFrame f) {
  const uint64_t total = scan_lists(f.ray_live, f.live_begin, f.rays);
  if (threadIdx.x != 0)
    return;
  FieldStatus &s = *f.status;
  s.live = admit(total, f.live_capacity, &s.wanted_live);
  s.overflow |= s.live < s.wanted_live;
  if (s.overflow != 0)
    s.live = 0;
}

__global__ void __launch_bounds__(kFieldThreads) live_list_kernel(FieldFrame f) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays || f.status->live == 0)
    return;
  uint32_t at = f.live_begin[r];
  for (int round = 0; round < kRounds; ++round) {
    const uint32_t row = round * f.ray_capacity + r;
    const uint32_t begin = f.round_begins[row], end = begin + f.round_counts[row];
    for (uint32_t s = begin; s < end; ++s)
      if (f.weight[s] > 0.0f)
        f.live[at++] = s;
  }
}

__global__ void __launch_bounds__(kFieldThreads) take_all_kernel(FieldFrame f) {
  const uint32_t i = blockIdx.x * kFieldThreads + threadIdx.x;
  const uint32_t n = f.status->samples;
  if (i == 0)
    f.status->live = f.status->wanted_live = n;
  if (i < n)
    f.live[i] = i;
}

// The live samples of a ray, none after an overflow.
struct LiveRange {
  uint32_t begin, end;
};
__device__ __forceinline__ LiveRange live_range(const FieldFrame &f, uint32_t r) {
  if (f.status->live == 0)
    return {0, 0};
  return {f.live_begin[r], f.live_begin[r] + f.ray_live[r]};
}

__device__ __forceinline__ void load_color(const FieldFrame &f, uint32_t i, float rgb[kColors]) {
  for (int k = 0; k < kColors; ++k)
    rgb[k] = f.color[k * static_cast<int64_t>(f.live_capacity) + i];
}

// Sums of weight times colour, distance and 1 over the live samples of a ray.
struct RaySums {
  float color[kColors], distance, weight;
  recon::Distortion distortion;
};
__device__ __forceinline__ RaySums sum_ray(const FieldFrame &f, LiveRange range) {
  RaySums out = {};
  for (uint32_t i = range.begin; i < range.end; ++i) {
    const uint32_t s = f.live[i];
    const float w = f.weight[s];
    float rgb[kColors];
    load_color(f, i, rgb);
    for (int k = 0; k < kColors; ++k)
      out.color[k] += w * rgb[k];
    out.distance += w * f.t[s];
    out.weight += w;
    out.distortion.add(w, f.t[s]);
  }
  return out;
}

__global__ void __launch_bounds__(kFieldThreads)
    ray_losses_kernel(FieldFrame f, float huber_delta, float distortion, float *rendered) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  double loss = 0.0, error = 0.0;
  if (r < f.rays) {
    const LiveRange range = live_range(f, r);
    RaySums sums = sum_ray(f, range);
    sums.distortion.scale = recon::distortion_scale(f.train[r], distortion);
    const recon::RayOutcome out =
        recon::ray_outcome(f.train[r], sums.color, f.ray[r].transmittance, huber_delta);
    for (int k = 0; k < kColors; ++k) {
      loss += static_cast<double>(out.loss[k]);
      error += static_cast<double>(out.error[k]);
      f.ray_exposure[3 * static_cast<int64_t>(r) + k] = out.exposure[k];
      if (rendered != nullptr)
        rendered[3 * static_cast<int64_t>(r) + k] = out.shown[k];
    }
    float behind = out.behind, apart = 0.0f;
    for (uint32_t i = range.end; i-- > range.begin;) {
      const uint32_t s = f.live[i];
      float rgb[kColors], d_out[kColors];
      load_color(f, i, rgb);
      const float w = f.weight[s];
      const float d_weight = sums.distortion.weight_vjp(w, f.t[s], f.dt[s], apart);
      f.d_density[i] =
          recon::blend_vjp(rgb, out.grad, d_weight, w, f.after[s], f.dt[s], behind, d_out);
      for (int k = 0; k < kColors; ++k)
        f.d_out[k * static_cast<int64_t>(f.live_capacity) + i] = d_out[k];
    }
    loss += static_cast<double>(apart);
  }
  loss = block_sum<double, kFieldThreads>(loss);
  error = block_sum<double, kFieldThreads>(error);
  if (threadIdx.x == 0) {
    f.loss_parts[blockIdx.x] = loss;
    f.loss_parts[gridDim.x + blockIdx.x] = error;
  }
}

// One block adds up the parts, in a fixed order.
__global__ void __launch_bounds__(kFieldThreads) loss_total_kernel(FieldFrame f, uint32_t parts) {
  double loss = 0.0, error = 0.0;
  for (uint32_t i = threadIdx.x; i < parts; i += kFieldThreads) {
    loss += f.loss_parts[i];
    error += f.loss_parts[parts + i];
  }
  loss = block_sum<double, kFieldThreads>(loss);
  error = block_sum<double, kFieldThreads>(error);
  if (threadIdx.x != 0)
    return;
  f.status->loss = loss;
  f.status->error = error;
  if (f.totals == nullptr)
    return;
  if (f.status->overflow != 0) {
    ++f.totals->skipped;
  } else {
    f.totals->loss += loss;
    ++f.totals->losses;
  }
}

struct Background {
  float rgb[kColors];
};

__global__ void __launch_bounds__(kFieldThreads)
    shade_kernel(FieldFrame f, Background background, float *color, float *alpha, float *depth) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays)
    return;
  const RaySums sums = sum_ray(f, live_range(f, r));
  const float t = f.ray[r].transmittance;
  for (int k = 0; k < kColors; ++k)
    color[3 * static_cast<int64_t>(r) + k] = sums.color[k] + t * background.rgb[k];
  alpha[r] = 1.0f - t;
  if (depth != nullptr)
    depth[r] =
        sums.weight > 1e-6f ? sums.distance / sums.weight * f.shape.half * f.train[r].scale : 0.0f;
}

} // namespace

void blend_rays(const FieldFrame &f, int round, Stream stream) {
  RECON_LAUNCH(blend_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f, round);
}

void list_live(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(live_scan_kernel, 1, kScanWidth, stream, f);
  RECON_LAUNCH(live_list_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f);
}

void take_all(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(take_all_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f);
}

void ray_losses(const FieldFrame &f, float huber_delta, float distortion, float *rendered,
                Stream stream) {
  const uint32_t blocks = blocks_for(f.rays, kFieldThreads);
  RECON_LAUNCH(ray_losses_kernel, blocks, kFieldThreads, stream, f, huber_delta, distortion,
               rendered);
  RECON_LAUNCH(loss_total_kernel, 1, kFieldThreads, stream, f, blocks);
}

void shade_rays(const FieldFrame &f, const float background[3], int64_t first, float *color,
                float *alpha, float *depth, Stream stream) {
  RECON_LAUNCH(shade_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f,
               Background{{background[0], background[1], background[2]}}, color + 3 * first,
               alpha + first, depth == nullptr ? nullptr : depth + first);
}

} // namespace recon_cuda
