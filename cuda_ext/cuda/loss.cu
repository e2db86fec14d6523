// L1 + D-SSIM and its gradient in the image, in two passes over blocks of 16x16 pixels.
//
// The first blurs what SSIM is made of and keeps its three partial derivatives a channel; the
// second blurs those (the blur is its own adjoint) and adds L1. Blurs are separable, in shared
// memory, with zero beyond the border (as 3DGS trains). See recon/math/ssim.h.

#include "cuda/collective.cuh"
#include "cuda/frame.cuh"
#include "recon/math/ssim.h"

namespace recon_cuda {

namespace {

using recon::kSsimRadius;

constexpr int kSide = 16, kThreads = kSide * kSide;
constexpr int kWide = kSide + 2 * kSsimRadius; // with the border that blurs reach into

struct LossScales {
  float l1, ssim;
  const uint8_t *weight;
};

__device__ __forceinline__ float pixel_weight(const LossScales &s, int64_t at) {
  return s.weight == nullptr ? 1.0f : static_cast<float>(s.weight[at]) * (1.0f / 255.0f);
}

// Calls load(row, column, x, y) for the square of kWide x kWide around the block, and blurs along
// x: one call of blur(row, column) for each of its kWide rows and kSide columns.
template <class Load, class Blur>
__device__ __forceinline__ void for_square(Load &&load, Blur &&blur) {
  const int x0 = static_cast<int>(blockIdx.x) * kSide - kSsimRadius;
  const int y0 = static_cast<int>(blockIdx.y) * kSide - kSsimRadius;
  for (int i = static_cast<int>(threadIdx.x); i < kWide * kWide; i += kThreads)
    load(i, x0 + i % kWide, y0 + i / kWide);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kWide * kSide; i += kThreads)
    blur(i, i / kSide * kWide + i % kSide);
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads)
    ssim_kernel(Frame f, const uint8_t *target, LossScales scales) {
  RECON_SHARED(float, image, kWide *kWide);
  RECON_SHARED(float, truth, kWide *kWide);
  RECON_SHARED(float4, rows, kWide * kSide); // m(x), m(y), m(x^2 + y^2), m(x y) along x
  const int width = f.view.width, height = f.view.height;
  const int64_t plane = f.pixels();
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const int x = static_cast<int>(blockIdx.x) * kSide + tx;
  const int y = static_cast<int>(blockIdx.y) * kSide + ty;
  const bool inside = x < width && y < height;
  const int64_t at = static_cast<int64_t>(y) * width + x;
  const float weight = inside ? pixel_weight(scales, at) : 0.0f;
  double total = 0.0;
  for (int c = 0; c < 3; ++c) {
    for_square(
        [&](int i, int px, int py) {
          const bool in = px >= 0 && py >= 0 && px < width && py < height;
          const int64_t from = static_cast<int64_t>(py) * width + px;
          image[i] = in ? f.image[c * plane + from] : 0.0f;
          truth[i] = in ? static_cast<float>(target[c * plane + from]) * (1.0f / 255.0f) : 0.0f;
        },
        [&](int i, int first) {
          float4 s = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
          for (int d = -kSsimRadius; d <= kSsimRadius; ++d) {
            const float tap = recon::ssim_tap(d < 0 ? -d : d);
            const float a = image[first + kSsimRadius + d], b = truth[first + kSsimRadius + d];
            s.x += tap * a;
            s.y += tap * b;
            s.z += tap * (a * a + b * b);
            s.w += tap * (a * b);
          }
          rows[i] = s;
        });
    float4 m = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    for (int d = -kSsimRadius; d <= kSsimRadius; ++d) {
      const float tap = recon::ssim_tap(d < 0 ? -d : d);
      const float4 r = rows[(ty + kSsimRadius + d) * kSide + tx];
      m.x += tap * r.x;
      m.y += tap * r.y;
      m.z += tap * r.z;
      m.w += tap * r.w;
    }
    if (inside) {
      const auto s = recon::ssim(m.x, m.y, m.z, m.w);
      total += static_cast<double>(weight * (1.0f - s.value));
      const float k = -scales.ssim * weight;
      float *maps = f.ssim_maps + 3 * c * plane + at;
      maps[0] = k * s.d_mean;
      maps[plane] = k * s.d_p;
      maps[2 * plane] = k * s.d_q;
    }
    __syncthreads(); // before the next channel overwrites the rows
  }
  total = block_sum<double, kThreads>(total);
  if (threadIdx.x == 0)
    f.loss_parts[blockIdx.y * gridDim.x + blockIdx.x] = total * static_cast<double>(scales.ssim);
}

template <bool UseSsim>
__global__ void __launch_bounds__(kThreads)
    gradient_kernel(Frame f, const uint8_t *target, LossScales scales, double *parts) {
  RECON_SHARED(float4, square, UseSsim ? kWide * kWide : 1);
  RECON_SHARED(float4, rows, UseSsim ? kWide * kSide : 1);
  const int width = f.view.width, height = f.view.height;
  const int64_t plane = f.pixels();
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const int x = static_cast<int>(blockIdx.x) * kSide + tx;
  const int y = static_cast<int>(blockIdx.y) * kSide + ty;
  const bool inside = x < width && y < height;
  const int64_t at = static_cast<int64_t>(y) * width + x;
  const float weight = inside ? pixel_weight(scales, at) : 0.0f;
  double total = 0.0;
  float error = 0.0f;
  for (int c = 0; c < 3; ++c) {
    float4 m = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if constexpr (UseSsim) {
      const float *maps = f.ssim_maps + 3 * c * plane;
      for_square(
          [&](int i, int px, int py) {
            float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (px >= 0 && py >= 0 && px < width && py < height) {
              const float *from = maps + static_cast<int64_t>(py) * width + px;
              v = make_float4(from[0], from[plane], from[2 * plane], 0.0f);
            }
            square[i] = v;
          },
          [&](int i, int first) {
            float4 s = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            for (int d = -kSsimRadius; d <= kSsimRadius; ++d) {
              const float tap = recon::ssim_tap(d < 0 ? -d : d);
              const float4 v = square[first + kSsimRadius + d];
              s.x += tap * v.x;
              s.y += tap * v.y;
              s.z += tap * v.z;
            }
            rows[i] = s;
          });
      for (int d = -kSsimRadius; d <= kSsimRadius; ++d) {
        const float tap = recon::ssim_tap(d < 0 ? -d : d);
        const float4 r = rows[(ty + kSsimRadius + d) * kSide + tx];
        m.x += tap * r.x;
        m.y += tap * r.y;
        m.z += tap * r.z;
      }
      __syncthreads(); // before the next channel overwrites the rows
    }
    if (inside) {
      const float truth = static_cast<float>(target[c * plane + at]) * (1.0f / 255.0f);
      const float value = f.image[c * plane + at], d = value - truth;
      const float size = weight * (d < 0.0f ? -d : d);
      total += static_cast<double>(size);
      error += size * (1.0f / 3.0f);
      float g = weight * (d > 0.0f ? scales.l1 : d < 0.0f ? -scales.l1 : 0.0f);
      if (UseSsim)
        g += m.x + 2.0f * value * m.y + truth * m.z;
      f.image_grad[c * plane + at] = g;
    }
  }
  if (inside)
    f.image_grad[kPlaneError * plane + at] = error;
  total = block_sum<double, kThreads>(total);
  if (threadIdx.x == 0)
    parts[blockIdx.y * gridDim.x + blockIdx.x] = total * static_cast<double>(scales.l1);
}

// One block adds up the parts, in a fixed order.
__global__ void __launch_bounds__(kThreads)
    total_kernel(Status *status, const double *parts, uint32_t count) {
  double total = 0.0;
  for (uint32_t i = threadIdx.x; i < count; i += kThreads)
    total += parts[i];
  total = block_sum<double, kThreads>(total);
  if (threadIdx.x != 0)
    return;
  status->last_loss = total;
  if (status->overflow != 0) { // the image is not complete
    ++status->skipped;
  } else {
    status->loss_sum += total;
    ++status->losses;
  }
}

} // namespace

void photometric_loss(const Frame &f, const uint8_t *target,
                      const recon_types::LossOptions &options, Stream stream) {
  const float scale = 1.0f / (3.0f * static_cast<float>(f.pixels()));
  const LossScales scales = {(1.0f - options.ssim_weight) * scale, options.ssim_weight * scale,
                             options.weight};
  const Grid grid(blocks_for(f.view.width, kSide), blocks_for(f.view.height, kSide));
  const uint32_t blocks = grid.x * grid.y;
  const bool use_ssim = options.ssim_weight > 0.0f;
  double *l1_parts = f.loss_parts + (use_ssim ? blocks : 0);
  if (use_ssim) {
    RECON_LAUNCH(ssim_kernel, grid, kThreads, stream, f, target, scales);
    RECON_LAUNCH(gradient_kernel<true>, grid, kThreads, stream, f, target, scales, l1_parts);
  } else {
    RECON_LAUNCH(gradient_kernel<false>, grid, kThreads, stream, f, target, scales, l1_parts);
  }
  RECON_LAUNCH(total_kernel, 1, kThreads, stream, f.status, f.loss_parts,
               use_ssim ? 2 * blocks : blocks);
}

} // namespace recon_cuda
