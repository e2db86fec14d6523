// Sums and prefix sums over the lanes of a warp and the threads of a block.
#pragma once

#include "cuda/platform.cuh"

namespace recon_cuda {

// Sum over a warp, in every lane; the order of additions is fixed.
template <class T> __device__ __forceinline__ T warp_sum(T value) {
  for (int step = kWarp / 2; step > 0; step /= 2)
    value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

// Sum over the lanes up to and including this one.
template <class T> __device__ __forceinline__ T warp_inclusive_sum(T value) {
  for (int step = 1; step < kWarp; step *= 2) {
    const T other = __shfl_up_sync(kAllLanes, value, static_cast<unsigned>(step));
    if (lane_id() >= step)
      value += other;
  }
  return value;
}

// Sum over the threads before this one; `total` over all. Every thread of the block takes part.
template <class T, int Threads>
__device__ __forceinline__ T block_exclusive_sum(T value, T &total) {
  constexpr int kWarps = Threads / kWarp;
  static_assert(Threads % kWarp == 0 && kWarps <= kWarp, "a warp adds up the warps");
  RECON_SHARED(T, warp_sums, kWarps);
  const T inclusive = warp_inclusive_sum(value);
  if (lane_id() == kWarp - 1)
    warp_sums[warp_id()] = inclusive;
  __syncthreads();
  T before = 0, all = 0;
  for (int w = 0; w < kWarps; ++w) {
    const T sum = warp_sums[w];
    before += w < warp_id() ? sum : T(0);
    all += sum;
  }
  __syncthreads(); // the array may be used again
  total = all;
  return before + inclusive - value;
}

// Sum over all threads, in every thread.
template <class T, int Threads> __device__ __forceinline__ T block_sum(T value) {
  T total;
  block_exclusive_sum<T, Threads>(value, total);
  return total;
}

} // namespace recon_cuda
