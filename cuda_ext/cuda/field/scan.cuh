// Where each of many lists begins in an array that holds them one after another.
#pragma once

#include "cuda/collective.cuh"

namespace recon_cuda {

constexpr int kScanWidth = 1024;

// One block of kScanWidth threads: begin[i] = sum of counts before i, for n lists. Returns the sum
// of all, in every thread. The two may be the same array.
__device__ __forceinline__ uint64_t scan_lists(const uint32_t *counts, uint32_t *begin,
                                               uint32_t n) {
  uint64_t before = 0;
  for (uint32_t first = 0; first < n; first += kScanWidth) {
    const uint32_t i = first + threadIdx.x;
    uint64_t total;
    const uint64_t sum =
        before + block_exclusive_sum<uint64_t, kScanWidth>(i < n ? counts[i] : 0u, total);
    if (i < n)
      begin[i] = static_cast<uint32_t>(sum);
    before += total;
  }
  return before;
}

// The number of a list's elements that there is room for, and whether it is all of them. More than
// there is room for count as none: whoever asked must come again with more room.
__device__ __forceinline__ uint32_t admit(uint64_t wanted, uint32_t capacity, uint32_t *told) {
  *told = static_cast<uint32_t>(wanted < 0xffffffffu ? wanted : 0xffffffffu);
  return wanted <= capacity ? static_cast<uint32_t>(wanted) : 0u;
}

} // namespace recon_cuda
