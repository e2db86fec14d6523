// The subset of CUDA that the kernels of cuda/ use, executed by a CPU: for tests.
//
// A launch runs its blocks one after another. Each thread of a block is a fibre; a fibre runs until
// it waits at a barrier or in a warp collective, and the last one to arrive lets all go on. The
// order of blocks and of threads is a setting: a result that depends on it is a race. What CUDA
// leaves undefined ends the program with a message: barriers that not all threads reach,
// collectives of which the lanes disagree, shared memory accessed outside its bounds, read before
// it was written, or touched by two threads without a barrier between.
//
// It cannot show what needs a GPU: code generation, the accuracy of fast intrinsics, weak memory
// between blocks, concurrency of streams.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "host_exec/executor.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }

#define threadIdx (host_exec::this_thread().index)
#define blockIdx (host_exec::this_block().index)
#define blockDim (host_exec::this_block().block)
#define gridDim (host_exec::this_block().grid)

// The call's line tells barriers apart: all threads of a block must wait at the same one.
inline void __syncthreads(int line = __builtin_LINE()) { host_exec::barrier(line, 0); }
inline int __syncthreads_or(int value, int line = __builtin_LINE()) {
  return host_exec::barrier(line, value != 0);
}
inline void __syncwarp(uint32_t mask = 0xffffffffu, int line = __builtin_LINE()) {
  host_exec::sync_warp(mask, line);
}

template <class T> T __shfl_sync(uint32_t mask, T value, int source, int line = __builtin_LINE()) {
  return host_exec::shuffle(mask, value, source & 31, line);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int line = __builtin_LINE()) {
  const int lane = host_exec::this_thread().lane;
  return host_exec::shuffle(mask, value, lane < int(delta) ? lane : lane - int(delta), line);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int line = __builtin_LINE()) {
  const int lane = host_exec::this_thread().lane;
  return host_exec::shuffle(mask, value, lane + int(delta) > 31 ? lane : lane + int(delta), line);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int with, int line = __builtin_LINE()) {
  return host_exec::shuffle(mask, value, (host_exec::this_thread().lane ^ with) & 31, line);
}
inline uint32_t __ballot_sync(uint32_t mask, int predicate, int line = __builtin_LINE()) {
  return host_exec::ballot(mask, predicate != 0, line);
}
inline int __any_sync(uint32_t mask, int predicate, int line = __builtin_LINE()) {
  return host_exec::ballot(mask, predicate != 0, line) != 0;
}
inline uint32_t __match_any_sync(uint32_t mask, uint32_t value, int line = __builtin_LINE()) {
  return host_exec::match_any(mask, value, line);
}

inline int __popc(uint32_t x) { return __builtin_popcount(x); }
inline int __ffs(uint32_t x) { return __builtin_ffs(static_cast<int>(x)); }
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

template <class T> T atomicAdd(T *at, T value) {
  const T before = *at;
  *at = before + value;
  return before;
}

inline uint32_t atomicOr(uint32_t *at, uint32_t bits) {
  const uint32_t before = *at;
  *at = before | bits;
  return before;
}

// An array of N elements of T shared by a block. Elements are loaded and stored whole.
#define RECON_SHARED(T, name, N) static thread_local host_exec::SharedArray<T, (N)> name

// One global function is launched over `grid` blocks of `block` threads.
#define RECON_LAUNCH(kernel, grid, block, stream, ...)                                             \
  ((void)(stream), host_exec::launch(#kernel, (grid), (block), [&] { kernel(__VA_ARGS__); }))
