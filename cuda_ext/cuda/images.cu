// Between the engine's planes and images as Python has them.

#include "cuda/frame.cuh"

namespace recon_cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    read_kernel(Frame f, float *color, float *alpha, float *depth_sum) {
  const int64_t plane = f.pixels(), i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= plane)
    return;
  if (color != nullptr)
    for (int c = 0; c < 3; ++c)
      color[3 * i + c] = f.image[c * plane + i];
  if (alpha != nullptr)
    alpha[i] = 1.0f - f.image[kPlaneT * plane + i];
  if (depth_sum != nullptr)
    depth_sum[i] = f.image[kPlaneDepth * plane + i];
}

__global__ void __launch_bounds__(kThreads)
    write_gradients_kernel(Frame f, const float *color, const float *alpha,
                           const float *depth_sum) {
  const int64_t plane = f.pixels(), i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= plane)
    return;
  for (int c = 0; c < 3; ++c)
    f.image_grad[c * plane + i] = color[3 * i + c];
  f.image_grad[kPlaneGradAlpha * plane + i] = alpha == nullptr ? 0.0f : alpha[i];
  f.image_grad[kPlaneGradDepth * plane + i] = depth_sum == nullptr ? 0.0f : depth_sum[i];
  f.image_grad[kPlaneError * plane + i] = 0.0f;
}

__global__ void __launch_bounds__(kThreads) read_gradients_kernel(Frame f, float *color) {
  const int64_t plane = f.pixels(), i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= plane)
    return;
  for (int c = 0; c < 3; ++c)
    color[3 * i + c] = f.image_grad[c * plane + i];
}

// See recon_cpu::Engine::read_footprints.
__global__ void __launch_bounds__(kThreads) footprints_kernel(Frame f, float *out) {
  const uint32_t id = blockIdx.x * kThreads + threadIdx.x;
  if (id >= f.n)
    return;
  float *o = out + static_cast<size_t>(id) * 16;
  for (int i = 0; i < 16; ++i)
    o[i] = 0.0f;
  if (f.depth_keys[id] == kInvisible)
    return;
  const float4 *record = f.records + static_cast<size_t>(id) * kRecordVectors;
  const float4 q0 = record[0], q1 = record[1], q2 = record[2];
  o[0] = q0.x;
  o[1] = q0.y;
  o[2] = q0.z / (-0.5f * recon::kLog2E);
  o[3] = q0.w / -recon::kLog2E;
  o[4] = q1.x / (-0.5f * recon::kLog2E);
  o[5] = q1.y;
  o[6] = q1.z;
  o[7] = q1.w;
  o[8] = q2.x;
  o[9] = q2.y;
  o[10] = q2.z;
  o[11] = q2.w;
}

} // namespace

void read_images(const Frame &f, float *color, float *alpha, float *depth_sum, Stream stream) {
  RECON_LAUNCH(read_kernel, blocks_for(f.pixels(), kThreads), kThreads, stream, f, color, alpha,
               depth_sum);
}

void write_gradients(const Frame &f, const float *color, const float *alpha, const float *depth_sum,
                     Stream stream) {
  RECON_LAUNCH(write_gradients_kernel, blocks_for(f.pixels(), kThreads), kThreads, stream, f, color,
               alpha, depth_sum);
}

void read_gradients(const Frame &f, float *color, Stream stream) {
  RECON_LAUNCH(read_gradients_kernel, blocks_for(f.pixels(), kThreads), kThreads, stream, f, color);
}

void read_footprints(const Frame &f, float *out, Stream stream) {
  RECON_LAUNCH(footprints_kernel, blocks_for(f.n, kThreads), kThreads, stream, f, out);
}

} // namespace recon_cuda
