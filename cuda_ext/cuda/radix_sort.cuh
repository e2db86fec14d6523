// One pass of a stable radix sort by 8 bits (least significant digit first), of as many items as a
// number in device memory says.
//
// Count the digits of each block of items, sum the counts over blocks, scatter (Satish et al.,
// "Designing efficient sorting algorithms for manycore GPUs", 2009). Lanes of a warp that hold the
// same digit are ranked by one match instead of a scan for each bit.
#pragma once

#include "cuda/collective.cuh"
#include "cuda/frame.cuh"

namespace recon_cuda {

constexpr int kDigits = 256;
constexpr int kSortThreads = 256;
constexpr int kSortRounds = 8; // items a thread
constexpr int kSortItems = kSortThreads * kSortRounds;

// Numbers that a sort of up to n items needs room for.
inline int64_t sort_scratch(int64_t n) {
  return static_cast<int64_t>(kDigits) * (blocks_for(n, kSortItems) + 1);
}

template <class Value> struct SortPass {
  const uint32_t *keys_in;
  uint32_t *keys_out;
  const Value *values_in; // null: an item's value is its index
  Value *values_out;
  const uint32_t *count; // of items, in device memory; null: `limit`
  uint32_t limit;        // the most items that there can be
  int shift;
  uint32_t *dropped_count; // not null: items with the key kInvisible are dropped, and the number of
                           // those that are left goes here
  uint32_t *digits;        // scratch
};

template <class Value> RECON_FN uint32_t item_count(const SortPass<Value> &s) {
  const uint32_t count = s.count == nullptr ? s.limit : *s.count;
  return count < s.limit ? count : s.limit;
}

template <class Value> RECON_FN uint32_t sort_stride(const SortPass<Value> &s) {
  const uint32_t blocks = (s.limit + kSortItems - 1) / kSortItems;
  return blocks < 1 ? 1 : blocks;
}

// The digit of item i, or kDigits where there is none.
template <class Value>
__device__ __forceinline__ uint32_t digit_of(const SortPass<Value> &s, uint32_t i, uint32_t n,
                                             uint32_t &key) {
  key = i < n ? s.keys_in[i] : kInvisible;
  if (i >= n || (s.dropped_count != nullptr && key == kInvisible))
    return kDigits;
  return key >> s.shift & (kDigits - 1);
}

template <class Value>
__global__ void __launch_bounds__(kSortThreads) sort_count_kernel(SortPass<Value> s) {
  RECON_SHARED(uint32_t, counts, kDigits);
  const uint32_t n = item_count(s), first = blockIdx.x * kSortItems;
  if (first >= n) // the whole block
    return;
  counts[threadIdx.x] = 0;
  __syncthreads();
  for (int r = 0; r < kSortRounds; ++r) {
    uint32_t key;
    const uint32_t digit = digit_of(s, first + r * kSortThreads + threadIdx.x, n, key);
    if (digit < kDigits)
      atomicAdd(&counts[digit], 1u);
  }
  __syncthreads();
  s.digits[threadIdx.x * sort_stride(s) + blockIdx.x] = counts[threadIdx.x];
}

// Block d: exclusive sums of digit d over the blocks of items; their total goes behind all.
template <class Value, int Threads>
__global__ void __launch_bounds__(Threads) sort_scan_kernel(SortPass<Value> s) {
  const uint32_t stride = sort_stride(s);
  const uint32_t blocks = (item_count(s) + kSortItems - 1) / kSortItems;
  uint32_t *counts = s.digits + blockIdx.x * stride;
  uint32_t before = 0;
  for (uint32_t first = 0; first < blocks; first += Threads) {
    const uint32_t i = first + threadIdx.x;
    uint32_t total;
    const uint32_t sum = block_exclusive_sum<uint32_t, Threads>(i < blocks ? counts[i] : 0u, total);
    if (i < blocks)
      counts[i] = before + sum;
    before += total;
  }
  if (threadIdx.x == 0)
    s.digits[kDigits * stride + blockIdx.x] = before;
}

template <class Value>
__global__ void __launch_bounds__(kSortThreads) sort_scatter_kernel(SortPass<Value> s) {
  constexpr int kWarps = kSortThreads / kWarp;
  constexpr uint32_t kWarpItems = kSortRounds * kWarp;
  RECON_SHARED(uint32_t, places, kWarps *kDigits); // counts by warp, then where they go
  const uint32_t n = item_count(s), first = blockIdx.x * kSortItems, stride = sort_stride(s);
  if (first >= n && blockIdx.x != 0) // the whole block; block 0 reports the count
    return;
  for (int w = 0; w < kWarps; ++w)
    places[w * kDigits + threadIdx.x] = 0;
  __syncthreads();

  // A warp has consecutive items, so that order by warp, round and lane is order of items.
  const uint32_t warp_first = first + static_cast<uint32_t>(warp_id()) * kWarpItems;
  const int warp_places = warp_id() * kDigits;
  uint32_t keys[kSortRounds], digits[kSortRounds], ranks[kSortRounds];
#pragma unroll
  for (int r = 0; r < kSortRounds; ++r) {
    digits[r] = digit_of(s, warp_first + r * kWarp + lane_id(), n, keys[r]);
    const uint32_t peers = __match_any_sync(kAllLanes, digits[r]);
    const uint32_t below = peers & ((1u << lane_id()) - 1u);
    uint32_t before = 0;
    if (digits[r] < kDigits)
      before = places[warp_places + digits[r]];
    ranks[r] = before + __popc(below);
    __syncwarp();
    if (digits[r] < kDigits && below == 0)
      places[warp_places + digits[r]] = before + __popc(peers);
    __syncwarp();
  }
  __syncthreads();

  // Thread d turns the counts of digit d into places.
  uint32_t all;
  const uint32_t base =
      block_exclusive_sum<uint32_t, kSortThreads>(s.digits[kDigits * stride + threadIdx.x], all);
  if (s.dropped_count != nullptr && blockIdx.x == 0 && threadIdx.x == 0)
    *s.dropped_count = all;
  if (first < n) {
    uint32_t place = base + s.digits[threadIdx.x * stride + blockIdx.x];
    for (int w = 0; w < kWarps; ++w) {
      const uint32_t count = places[w * kDigits + threadIdx.x];
      places[w * kDigits + threadIdx.x] = place;
      place += count;
    }
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kSortRounds; ++r)
    if (digits[r] < kDigits) {
      const uint32_t from = warp_first + r * kWarp + lane_id();
      const uint32_t to = places[warp_places + digits[r]] + ranks[r];
      s.keys_out[to] = keys[r];
      if constexpr (sizeof(Value) == sizeof(uint32_t))
        s.values_out[to] = s.values_in == nullptr ? from : s.values_in[from];
      else
        s.values_out[to] = s.values_in[from];
    }
}

template <class Value> void run_sort_pass(const SortPass<Value> &pass, Stream stream) {
  const uint32_t blocks = blocks_for(pass.limit, kSortItems);
  RECON_LAUNCH(sort_count_kernel<Value>, blocks, kSortThreads, stream, pass);
  if (blocks <= kWarp)
    RECON_LAUNCH((sort_scan_kernel<Value, kWarp>), kDigits, kWarp, stream, pass);
  else
    RECON_LAUNCH((sort_scan_kernel<Value, kSortThreads>), kDigits, kSortThreads, stream, pass);
  RECON_LAUNCH(sort_scatter_kernel<Value>, blocks, kSortThreads, stream, pass);
}

} // namespace recon_cuda
