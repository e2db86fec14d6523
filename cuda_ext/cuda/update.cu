// Per-splat backward pass: from the sums over pixels to the gradients of the parameters, and Adam
// in the same pass, for the splats that the view saw. One thread a splat.

#include "cuda/collective.cuh"
#include "cuda/frame.cuh"
#include "cuda/parameters.cuh"

namespace recon_cuda {

namespace {

constexpr int kThreads = 128;
// The sums of splats that touch more tiles are added up by a whole warp.
constexpr uint32_t kFewSlots = 32;

// Adds up the sums of a splat's slots, always in the same order. All lanes take part; those without
// a splat pass a count of 0.
__device__ __forceinline__ void gather_sums(const float *slots, uint32_t begin, uint32_t count,
                                            float *sums) {
  for (int i = 0; i < kSums; ++i)
    sums[i] = 0.0f;
  if (count <= kFewSlots)
    for (uint32_t k = 0; k < count; ++k) {
      const float4 *from =
          reinterpret_cast<const float4 *>(slots + static_cast<size_t>(begin + k) * kSums);
      for (int v = 0; v < 3; ++v) {
        const float4 q = from[v];
        sums[4 * v] += q.x;
        sums[4 * v + 1] += q.y;
        sums[4 * v + 2] += q.z;
        sums[4 * v + 3] += q.w;
      }
    }
  uint32_t many = __ballot_sync(kAllLanes, count > kFewSlots);
  while (many != 0) {
    const int source = __ffs(many) - 1;
    many &= many - 1;
    const uint32_t first = __shfl_sync(kAllLanes, begin, source);
    const uint32_t total = __shfl_sync(kAllLanes, count, source);
    float part[kSums] = {};
    for (uint32_t k = static_cast<uint32_t>(lane_id()); k < total; k += kWarp) {
      const float *from = slots + static_cast<size_t>(first + k) * kSums;
      for (int i = 0; i < kSums; ++i)
        part[i] += from[i];
    }
    for (int i = 0; i < kSums; ++i) {
      const float sum = warp_sum(part[i]);
      if (lane_id() == source)
        sums[i] = sum;
    }
  }
}

struct SplatGradients {
  recon::Gaussian<float> shape;
  float color[3];  // d(loss)/d(colour before the clamp at 0)
  float basis[16]; // SH basis at the splat's direction
  float gradient;  // norm of the gradient in the 2D mean, in units of half the image size
  bool finite;
};

__device__ __forceinline__ SplatGradients splat_backward(const Frame &f, const float *p,
                                                         uint32_t id, const float *sums) {
  SplatGradients out;
  const auto cam = recon::pinhole_of(f.view);
  const auto g = load_gaussian(p);
  const bool antialias = f.options.antialias;
  const auto state = recon::projection_state(g, cam, antialias);
  const auto df = recon::footprint_gradient(recon::footprint(state, cam), sums);
  out.shape = recon::projection_vjp(state, cam, antialias, df);

  const float4 *record = f.records + static_cast<size_t>(id) * kRecordVectors;
  const float4 q1 = record[1], q2 = record[2];
  out.color[0] = q1.z > 0.0f ? sums[recon::kSr] : 0.0f;
  out.color[1] = q1.w > 0.0f ? sums[recon::kSg] : 0.0f;
  out.color[2] = q2.x > 0.0f ? sums[recon::kSb] : 0.0f;

  float centre[3], direction[3], weights[16], g_direction[3], g_mean[3];
  camera_centre(f.view, centre);
  const float inv_distance = recon::view_direction(g.mean, centre, direction);
  const int degree = f.options.sh_degree, count = recon::sh_count(degree);
  recon::sh_basis(degree, direction, out.basis);
  if (degree > 0) {
#pragma unroll
    for (int k = 0; k < 16; ++k) {
      weights[k] = 0.0f;
      if (k < count)
        for (int c = 0; c < 3; ++c)
          weights[k] += out.color[c] * row(p, recon_types::kRowSh + 3 * k + c);
    }
    recon::sh_basis_vjp(degree, direction, weights, g_direction);
    recon::view_direction_vjp(direction, inv_distance, g_direction, g_mean);
    for (int i = 0; i < 3; ++i)
      out.shape.mean[i] += g_mean[i];
  }
  const float gx = df.mean[0] * 0.5f * cam.width, gy = df.mean[1] * 0.5f * cam.height;
  out.gradient = recon::sqrt_(gx * gx + gy * gy);
  const float colors = out.color[0] + out.color[1] + out.color[2];
  out.finite = recon::all_finite(out.shape) && colors * 0.0f >= 0.0f;
  return out;
}

// The splat of this thread, its sums if the view saw it, and whether it did. All lanes take part.
__device__ __forceinline__ bool load_sums(const Frame &f, uint32_t id, float *sums) {
  const bool seen = id < f.n && f.depth_keys[id] != kInvisible;
  gather_sums(f.sums, seen ? f.slot_begin[id] : 0, seen ? f.slot_count[id] : 0, sums);
  return seen;
}

__device__ __forceinline__ void count_dropped(Status *status, bool dropped) {
  const uint32_t bits = __ballot_sync(kAllLanes, dropped);
  if (bits != 0 && lane_id() == 0)
    atomicAdd(reinterpret_cast<unsigned long long *>(&status->nonfinite),
              static_cast<unsigned long long>(__popc(bits)));
}

__global__ void __launch_bounds__(kThreads)
    gradients_kernel(Frame f, const float *params, float *out) {
  const uint32_t id = blockIdx.x * kThreads + threadIdx.x;
  float sums[kSums];
  const bool seen = load_sums(f, id, sums);
  SplatGradients g;
  if (seen)
    g = splat_backward(f, splat_parameters(params, id), id, sums);
  const bool keep = seen && g.finite;
  count_dropped(f.status, seen && !keep);
  // The padding of the last block too, so that nothing of the output is left as it was.
  if (id >= (f.n + kBlock - 1) / kBlock * kBlock)
    return;
  float *o = splat_parameters(out, id);
  for (int r = 0; r < kRows; ++r)
    row(o, r) = 0.0f;
  if (!keep)
    return;
  for (int i = 0; i < 3; ++i)
    row(o, recon_types::kRowMean + i) = g.shape.mean[i];
  for (int i = 0; i < 4; ++i)
    row(o, recon_types::kRowQuat + i) = g.shape.quat[i];
  for (int i = 0; i < 3; ++i)
    row(o, recon_types::kRowLogScale + i) = g.shape.log_scale[i];
  row(o, recon_types::kRowOpacity) = g.shape.logit_opacity;
  const int count = recon::sh_count(f.options.sh_degree);
#pragma unroll
  for (int k = 0; k < 16; ++k)
    if (k < count)
      for (int c = 0; c < 3; ++c)
        row(o, recon_types::kRowSh + 3 * k + c) = g.basis[k] * g.color[c];
}

// Adam's settings as kernels take them.
struct AdamFrame {
  recon::AdamScalars<float> scalars;
  float rates[kRows];
  float opacity_reg, scale_reg; // already divided by the numbers of splats
  int sh_count;                 // coefficients to update
};

__global__ void __launch_bounds__(kThreads)
    adam_kernel(Frame f, AdamFrame a, float *params, float *m, float *v,
                recon_types::SplatStats stats) {
  if (f.status->overflow != 0) // the image was not complete: this step counts for nothing
    return;
  const uint32_t id = blockIdx.x * kThreads + threadIdx.x;
  float sums[kSums];
  const bool seen = load_sums(f, id, sums);
  SplatGradients g;
  float *p = nullptr;
  if (seen) {
    p = splat_parameters(params, id);
    g = splat_backward(f, p, id, sums);
  }
  const bool keep = seen && g.finite;
  count_dropped(f.status, seen && !keep);
  if (!keep)
    return;
  float *pm = splat_parameters(m, id), *pv = splat_parameters(v, id);
  auto update = [&](int r, float gradient) {
    recon::adam_update(a.scalars, a.rates[r], gradient, row(p, r), row(pm, r), row(pv, r));
  };
  const float opacity = 1.0f / (1.0f + recon::exp_(-row(p, recon_types::kRowOpacity)));
  for (int i = 0; i < 3; ++i)
    update(recon_types::kRowMean + i, g.shape.mean[i]);
  for (int i = 0; i < 4; ++i)
    update(recon_types::kRowQuat + i, g.shape.quat[i]);
  for (int i = 0; i < 3; ++i) {
    const int r = recon_types::kRowLogScale + i;
    update(r, g.shape.log_scale[i] + a.scale_reg * recon::exp_(row(p, r)));
  }
  update(recon_types::kRowOpacity,
         g.shape.logit_opacity + a.opacity_reg * opacity * (1.0f - opacity));
#pragma unroll
  for (int k = 0; k < 16; ++k)
    if (k < a.sh_count)
      for (int c = 0; c < 3; ++c)
        update(recon_types::kRowSh + 3 * k + c, g.basis[k] * g.color[c]);
  if (stats.error != nullptr)
    stats.error[id] += sums[recon::kSerror];
  if (stats.gradient != nullptr)
    stats.gradient[id] += g.gradient;
  if (stats.visible != nullptr)
    stats.visible[id] += 1.0f;
}

} // namespace

void splat_gradients(const Frame &f, const float *params, float *out, Stream stream) {
  RECON_LAUNCH(gradients_kernel, blocks_for(f.n, kThreads), kThreads, stream, f, params, out);
}

void splat_adam(const Frame &f, float *params, float *m, float *v,
                const recon_types::AdamOptions &options, const recon_types::SplatStats &stats,
                Stream stream) {
  AdamFrame a;
  const double step = static_cast<double>(options.step);
  a.scalars.beta1 = options.beta1;
  a.scalars.beta2 = options.beta2;
  a.scalars.rest1 = 1.0f - options.beta1;
  a.scalars.rest2 = 1.0f - options.beta2;
  a.scalars.correction1 =
      static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(options.beta1), step)));
  a.scalars.correction2 =
      static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(options.beta2), step)));
  a.scalars.epsilon = options.epsilon;
  for (int r = 0; r < kRows; ++r)
    a.rates[r] = options.learning_rate[r];
  const float n = static_cast<float>(f.n);
  a.opacity_reg = options.opacity_reg / n;
  a.scale_reg = options.scale_reg / (3.0f * n);
  a.sh_count = options.update_sh ? recon::sh_count(f.options.sh_degree) : 1;
  RECON_LAUNCH(adam_kernel, blocks_for(f.n, kThreads), kThreads, stream, f, a, params, m, v, stats);
}

} // namespace recon_cuda
