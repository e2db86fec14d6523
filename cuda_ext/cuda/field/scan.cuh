// Where each of many lists begins in an array that holds them one after another.
#pragma once

#include "cuda/collective.cuh"

namespace recon_cuda {

constexpr int kScanWidth = 1024;
constexpr uint32_t kScanEach = 4; // lists of a thread at a time: a block alone must not take long

// One block of kScanWidth threads: begin[i] = `first` + sum of counts before i, for n lists.
// Returns `first` + the sum of all, in every thread. The two may be the same array.
__device__ __forceinline__ uint64_t scan_lists(const uint32_t *counts, uint32_t *begin, uint32_t n,
                                               uint64_t first = 0) {
  for (uint32_t start = 0; start < n; start += kScanWidth * kScanEach) {
    const uint32_t mine = start + threadIdx.x * kScanEach;
    uint32_t count[kScanEach];
    uint64_t own = 0;
#pragma unroll
    for (uint32_t k = 0; k < kScanEach; ++k) {
      count[k] = mine + k < n ? counts[mine + k] : 0u;
      own += count[k];
    }
    uint64_t total;
    uint64_t at = first + block_exclusive_sum<uint64_t, kScanWidth>(own, total);
#pragma unroll
    for (uint32_t k = 0; k < kScanEach; ++k) {
      if (mine + k < n)
        begin[mine + k] = static_cast<uint32_t>(at);
      at += count[k];
    }
    first += total;
  }
  return first;
}

// The number of a list's elements that there is room for, and whether it is all of them. More than
// there is room for count as none: whoever asked must come again with more room.
__device__ __forceinline__ uint32_t admit(uint64_t wanted, uint32_t capacity, uint32_t *told) {
  *told = static_cast<uint32_t>(wanted < 0xffffffffu ? wanted : 0xffffffffu);
  return wanted <= capacity ? static_cast<uint32_t>(wanted) : 0u;
}

} // namespace recon_cuda
