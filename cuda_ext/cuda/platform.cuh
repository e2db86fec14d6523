// What kernels are written on: CUDA, or the executor that runs them on the CPU in tests.
#pragma once

#if defined(__CUDACC__)

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

#include "cuda/device.h"
#include "recon/math/scalar.h"

namespace recon_cuda {

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

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x) & (kWarp - 1); }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x) / kWarp; }

// Blocks that cover n items, at least one: an empty launch is an error.
inline uint32_t blocks_for(int64_t n, int per_block) {
  const int64_t blocks = (n + per_block - 1) / per_block;
  return static_cast<uint32_t>(blocks < 1 ? 1 : blocks);
}

} // namespace recon_cuda
