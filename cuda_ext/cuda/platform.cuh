// What kernels are written on: CUDA, or the executor that runs them on the CPU in tests.
#pragma once

#if defined(__CUDACC__)

#include <cuda_fp16.h>
#include <cuda_runtime.h>

// An array of N elements of T shared by a block. Elements are loaded and stored whole: under the
// executor they are objects that watch for races.
#define RECON_SHARED(T, name, N) __shared__ T name[N]

#define RECON_LAUNCH(kernel, grid, block, stream, ...)                                             \
  (kernel<<<(grid), (block), 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__),                 \
   recon_cuda::check_launch(#kernel))

#else
#include "host_exec/cuda_on_cpu.h"
#endif

#include <cstdint>
#include <cstring>

#include "cuda/device.h"
#include "recon/math/scalar.h"

namespace recon_cuda {

#if defined(__CUDACC__)
using Grid = dim3;
#else
using Grid = host_exec::Dim3;
#endif

constexpr uint32_t kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;

// 2^x for x <= 0, to 2e-7; nothing but the hardware's instruction.
RECON_FN float exp2_fast(float x) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2f(x);
#endif
}

// a * b + c, rounded once on a GPU: forward and backward must agree on every threshold, whatever
// the compiler contracts.
RECON_FN float fma_(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return a * b + c;
#endif
}

// A load of what all lanes read and no kernel of the same launch writes.
RECON_FN float4 load_uniform(const float4 *from) {
#if defined(__CUDA_ARCH__)
  return __ldg(from);
#else
  return *from;
#endif
}

// Finite numbers in half precision, as 16-bit patterns.
RECON_FN float half_to_float(uint32_t half) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(static_cast<unsigned short>(half)));
#else
  // The exponent moves into place by a product, which is exact for denormals too.
  const uint32_t magnitude = (half & 0x7fffu) << 13, sign = (half & 0x8000u) << 16;
  float out;
  std::memcpy(&out, &magnitude, sizeof(out));
  out *= 0x1p112f;
  return sign != 0 ? -out : out;
#endif
}

// Rounds to nearest, ties to even; magnitudes are limited to the largest half.
RECON_FN uint32_t float_to_half(float x) {
  x = x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x;
#if defined(__CUDA_ARCH__)
  return __half_as_ushort(__float2half_rn(x));
#else
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x38800000u)
    return sign | ((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
  // Below the smallest normal half, adding 1/2 lets the adder round to multiples of 2^-24.
  float small;
  std::memcpy(&small, &magnitude, sizeof(small));
  small += 0.5f;
  std::memcpy(&bits, &small, sizeof(bits));
  return sign | (bits - 0x3f000000u);
#endif
}

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x) & (kWarp - 1); }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x) / kWarp; }

// Blocks that cover n items, at least one: an empty launch is an error.
inline uint32_t blocks_for(int64_t n, int per_block) {
  const int64_t blocks = (n + per_block - 1) / per_block;
  return static_cast<uint32_t>(blocks < 1 ? 1 : blocks);
}

} // namespace recon_cuda
