// Tile lists: every (tile, splat) pair, sorted by tile and within a tile by depth.
//
// Pairs are emitted in depth order, so that one stable sort by tile finishes the lists, and when
// there is no room for all of them the farthest splats are left out. A pair's number in the order
// of emission is its slot: a splat's slots lie together, which is where backward's sums go.

#include "cuda/collective.cuh"
#include "cuda/frame.cuh"
#include "cuda/radix_sort.cuh"

namespace recon_cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kScanThreads = 1024;
// Splats that touch more tiles are emitted by a whole warp.
constexpr uint32_t kFewTiles = 32;

// A splat's ellipse as far as tiles are concerned.
struct Outline {
  float mx, my, hy, inv_hy, shear, half_width, dy_right;
};

__device__ __forceinline__ Outline load_outline(const Frame &f, uint32_t id) {
  const float4 *record = f.records + static_cast<size_t>(id) * kRecordVectors;
  const float4 q0 = record[0], q2 = record[2], q3 = record[3];
  return {q0.x, q0.y, q2.w, q3.w, q3.x, q3.y, q3.z};
}

__device__ __forceinline__ int clamp_index(float x, int last) {
  return x < 0.0f ? 0 : x > static_cast<float>(last) ? last : static_cast<int>(x);
}

// The rows of tiles from first to last that an outline touches.
struct Rows {
  int first, last;
};

__device__ __forceinline__ Rows tile_rows(const Frame &f, const Outline &o) {
  constexpr float kInv = 1.0f / kTile;
  return {clamp_index((o.my - o.hy - 0.5f - recon::kSpanSlack) * kInv, f.tiles_y - 1),
          clamp_index((o.my + o.hy - 0.5f + recon::kSpanSlack) * kInv, f.tiles_y - 1)};
}

// The tiles of row ty that the outline touches: x from first to last, none if last < first.
__device__ __forceinline__ Rows tile_span(const Frame &f, const Outline &o, int ty) {
  constexpr float kInv = 1.0f / kTile, slack = recon::kSpanSlack;
  // Pixel centres of the row of tiles, relative to the mean.
  const float lo = static_cast<float>(ty * kTile) + 0.5f - o.my;
  const float hi = lo + static_cast<float>(kTile - 1);
  if (lo > o.hy + slack || hi < -o.hy - slack)
    return {0, -1};
  float left, right;
  recon::ellipse_span(o.hy, o.inv_hy, o.shear, o.half_width, o.dy_right, lo, hi, left, right);
  left += o.mx;
  right += o.mx;
  if (right < 0.0f || left > static_cast<float>(f.tiles_x * kTile))
    return {0, -1};
  return {clamp_index((left - 0.5f - slack) * kInv, f.tiles_x - 1),
          clamp_index((right - 0.5f + slack) * kInv, f.tiles_x - 1)};
}

// Tiles that each splat touches, and their sum over each block of splats.
__global__ void __launch_bounds__(kThreads) count_kernel(Frame f) {
  const uint32_t visible = f.status->visible;
  if (blockIdx.x * kThreads >= visible) // the whole block
    return;
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  uint32_t touched = 0;
  if (i < visible) {
    const Outline o = load_outline(f, f.sort_ids[0][i]);
    const Rows rows = tile_rows(f, o);
    for (int ty = rows.first; ty <= rows.last; ++ty) {
      const Rows span = tile_span(f, o, ty);
      touched += span.last < span.first ? 0 : static_cast<uint32_t>(span.last - span.first + 1);
    }
    f.touched[i] = touched;
  }
  const uint32_t total = block_sum<uint32_t, kThreads>(touched);
  if (threadIdx.x == 0)
    f.scan[blockIdx.x] = total;
}

// One block: pairs before each block of splats, and how many there are in all.
__global__ void __launch_bounds__(kScanThreads) scan_kernel(Frame f) {
  const uint32_t blocks = (f.status->visible + kThreads - 1) / kThreads;
  uint64_t before = 0;
  for (uint32_t first = 0; first < blocks; first += kScanThreads) {
    const uint32_t i = first + threadIdx.x;
    uint64_t total;
    const uint64_t sum =
        before + block_exclusive_sum<uint64_t, kScanThreads>(i < blocks ? f.scan[i] : 0u, total);
    if (i < blocks)
      f.scan[i] = static_cast<uint32_t>(sum < f.pair_capacity ? sum : f.pair_capacity);
    before += total;
  }
  if (threadIdx.x == 0) {
    Status &s = *f.status;
    s.wanted = before;
    s.most_wanted = before > s.most_wanted ? before : s.most_wanted;
    s.overflow = before > f.pair_capacity;
    s.pairs = static_cast<uint32_t>(before < f.pair_capacity ? before : f.pair_capacity);
  }
}

__device__ __forceinline__ void emit_span(const Frame &f, Rows span, int ty, uint32_t id,
                                          uint32_t slot) {
  for (int tx = span.first; tx <= span.last; ++tx, ++slot)
    if (slot < f.pair_capacity) {
      f.pair_tiles[0][slot] = static_cast<uint32_t>(ty * f.tiles_x + tx);
      f.pair_entries[0][slot] = make_uint2(id, slot);
    }
}

__global__ void __launch_bounds__(kThreads) emit_kernel(Frame f) {
  const uint32_t visible = f.status->visible;
  if (blockIdx.x * kThreads >= visible) // the whole block
    return;
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  const uint32_t touched = i < visible ? f.touched[i] : 0;
  uint32_t total;
  const uint32_t offset = block_exclusive_sum<uint32_t, kThreads>(touched, total);
  uint32_t id = 0, slot = f.pair_capacity;
  Outline o = {};
  Rows rows = {0, -1};
  if (i < visible) {
    const uint32_t capacity = f.pair_capacity;
    slot = f.scan[blockIdx.x] + offset;
    slot = slot < capacity ? slot : capacity;
    id = f.sort_ids[0][i];
    o = load_outline(f, id);
    rows = tile_rows(f, o);
    f.slot_begin[id] = slot;
    f.slot_count[id] = touched < capacity - slot ? touched : capacity - slot;
    if (touched <= kFewTiles)
      for (int ty = rows.first; ty <= rows.last; ++ty) {
        const Rows span = tile_span(f, o, ty);
        emit_span(f, span, ty, id, slot);
        slot += span.last < span.first ? 0 : static_cast<uint32_t>(span.last - span.first + 1);
      }
  }
  // The rest one by one, a row of tiles for each lane.
  uint32_t large = __ballot_sync(kAllLanes, touched > kFewTiles);
  while (large != 0) {
    const int source = __ffs(large) - 1;
    large &= large - 1;
    const Outline big = {
        __shfl_sync(kAllLanes, o.mx, source),      __shfl_sync(kAllLanes, o.my, source),
        __shfl_sync(kAllLanes, o.hy, source),      __shfl_sync(kAllLanes, o.inv_hy, source),
        __shfl_sync(kAllLanes, o.shear, source),   __shfl_sync(kAllLanes, o.half_width, source),
        __shfl_sync(kAllLanes, o.dy_right, source)};
    const uint32_t big_id = __shfl_sync(kAllLanes, id, source);
    uint32_t at = __shfl_sync(kAllLanes, slot, source);
    const int last = __shfl_sync(kAllLanes, rows.last, source);
    for (int first = __shfl_sync(kAllLanes, rows.first, source); first <= last; first += kWarp) {
      const int ty = first + lane_id();
      Rows span = {0, -1};
      if (ty <= last)
        span = tile_span(f, big, ty);
      const uint32_t count =
          span.last < span.first ? 0 : static_cast<uint32_t>(span.last - span.first + 1);
      const uint32_t through = warp_inclusive_sum(count);
      emit_span(f, span, ty, big_id, at + through - count);
      at += __shfl_sync(kAllLanes, through, kWarp - 1);
    }
  }
}

// Where each tile's list begins, by bisection.
__global__ void __launch_bounds__(kThreads) ranges_kernel(Frame f, const uint32_t *tiles) {
  const uint32_t tile = blockIdx.x * kThreads + threadIdx.x;
  if (tile > f.tiles())
    return;
  uint32_t lo = 0, hi = f.status->pairs;
  while (lo < hi) {
    const uint32_t middle = lo + (hi - lo) / 2;
    if (tiles[middle] < tile)
      lo = middle + 1;
    else
      hi = middle;
  }
  f.tile_begin[tile] = lo;
}

// One block: buckets before each tile.
__global__ void __launch_bounds__(kScanThreads) buckets_kernel(Frame f) {
  uint32_t before = 0;
  for (uint32_t first = 0; first < f.tiles(); first += kScanThreads) {
    const uint32_t tile = first + threadIdx.x;
    uint32_t count = 0;
    if (tile < f.tiles())
      count = (f.tile_begin[tile + 1] - f.tile_begin[tile] + kBucket - 1) / kBucket;
    uint32_t total;
    const uint32_t sum = block_exclusive_sum<uint32_t, kScanThreads>(count, total);
    if (tile < f.tiles())
      f.bucket_begin[tile] = before + sum;
    before += total;
  }
  if (threadIdx.x == 0) {
    f.bucket_begin[f.tiles()] = before;
    f.status->buckets = before;
  }
}

} // namespace

int bin(const Frame &f, Stream stream) {
  const uint32_t splat_blocks = blocks_for(f.n, kThreads);
  RECON_LAUNCH(count_kernel, splat_blocks, kThreads, stream, f);
  RECON_LAUNCH(scan_kernel, 1, kScanThreads, stream, f);
  RECON_LAUNCH(emit_kernel, splat_blocks, kThreads, stream, f);
  int from = 0;
  for (int shift = 0; shift == 0 || (f.tiles() - 1) >> shift != 0; shift += 8, from ^= 1) {
    const SortPass<uint2> pass = {f.pair_tiles[from],
                                  f.pair_tiles[from ^ 1],
                                  f.pair_entries[from],
                                  f.pair_entries[from ^ 1],
                                  &f.status->pairs,
                                  f.pair_capacity,
                                  shift,
                                  nullptr,
                                  f.digits};
    run_sort_pass(pass, stream);
  }
  RECON_LAUNCH(ranges_kernel, blocks_for(int64_t{f.tiles()} + 1, kThreads), kThreads, stream, f,
               f.pair_tiles[from]);
  RECON_LAUNCH(buckets_kernel, 1, kScanThreads, stream, f);
  return from;
}

} // namespace recon_cuda
