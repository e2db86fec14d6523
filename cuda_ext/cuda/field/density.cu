// Density of a round's samples, and the forward pass of the live ones, whose activations are kept.
// A thread a sample.

#include "cuda/field/dense.cuh"
#include "cuda/field/frame.cuh"

namespace recon_cuda {

namespace {

// The density's exponent alone: one column of the second layer.
__device__ __forceinline__ void sample_density(const FieldFrame &f, uint32_t s) {
  float hidden[kHidden];
  clear(hidden);
  dense<kEncoded>(f.encoded + s, f.sample_capacity, f.weights.mlp + recon_types::kDensity1, hidden);
  const float *column = f.weights.mlp + recon_types::kDensity2;
  float raw = 0.0f;
#pragma unroll
  for (int k = 0; k < kHidden; ++k)
    raw += recon::max_(hidden[k], 0.0f) * column[k * kGeometry];
  raw += f.shape.density_bias;
  f.raw[s] = raw;
  f.opacity[s] = recon::opacity_of(recon::density_activation(raw), f.dt[s]);
}

__global__ void __launch_bounds__(kFieldThreads) density_kernel(FieldFrame f) {
  for_samples(f.status->round_begin, f.status->samples, [&](uint32_t s) { sample_density(f, s); });
}

__device__ __forceinline__ void forward_sample(const FieldFrame &f, uint32_t i) {
  const float *mlp = f.weights.mlp;
  const int64_t stride = f.live_capacity;
  const uint32_t sample = f.live[i];
  for (int k = 0; k < kEncoded; ++k)
    f.live_encoded[k * stride + i] =
        f.encoded[k * static_cast<int64_t>(f.sample_capacity) + sample];
  float hidden[kHidden];
  clear(hidden);
  dense<kEncoded>(f.live_encoded + i, stride, mlp + recon_types::kDensity1, hidden);
  relu(hidden);
  store_planes(hidden, f.h1 + i, stride);

  float geometry[kGeometry];
  clear(geometry);
  dense<kHidden>(f.h1 + i, stride, mlp + recon_types::kDensity2, geometry);
  store_planes(geometry, f.geometry + i, stride);

  load_planes(hidden, f.ray_bias + f.owner[sample], f.ray_capacity);
  dense<kGeometry>(f.geometry + i, stride, mlp + recon_types::kColor1, hidden);
  relu(hidden);
  store_planes(hidden, f.h2 + i, stride);

  clear(hidden);
  dense<kHidden>(f.h2 + i, stride, mlp + recon_types::kColor2, hidden);
  relu(hidden);
  store_planes(hidden, f.h3 + i, stride);

  float out[kOut];
  clear(out);
  dense<kHidden>(f.h3 + i, stride, mlp + recon_types::kColor3, out);
  for (int k = 0; k < kColors; ++k)
    f.color[k * stride + i] = recon::sigmoid(out[k]);
}

__global__ void __launch_bounds__(kFieldThreads) forward_live_kernel(FieldFrame f) {
  for_samples(0, f.status->live, [&](uint32_t i) { forward_sample(f, i); });
}

} // namespace

void evaluate_density(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(density_kernel, sample_blocks(f.sample_capacity), kFieldThreads, stream, f);
}

void forward_live(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(forward_live_kernel, sample_blocks(f.live_capacity), kFieldThreads, stream, f);
}

} // namespace recon_cuda
