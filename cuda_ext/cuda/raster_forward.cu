// Rasterises tiles: a block of 256 threads a tile, a thread a pixel.
//
// Splats are staged in shared memory 256 at a time. Whoever stages a splat also finds the regions
// of 8x4 pixels that its ellipse touches; each region is one warp's, and a warp visits only the
// splats of its bits. At the start of every bucket of 32 splats the state of all pixels is kept:
// that is where backward begins (Mallick et al., "Taming 3DGS", 2024, section 4).

#include "cuda/frame.cuh"

namespace recon_cuda {

namespace {

constexpr int kThreads = kTilePixels;

// The regions that an ellipse touches, one bit each; (mx, my) is its mean relative to the tile.
__device__ __forceinline__ uint32_t touched_regions(float mx, float my, float hy, float4 q3) {
  constexpr float slack = recon::kSpanSlack;
  uint32_t out = 0;
  for (int r = 0; r < 4; ++r) {
    const float lo = 4.0f * static_cast<float>(r) + 0.5f - my, hi = lo + 3.0f;
    if (lo > hy + slack || hi < -hy - slack)
      continue;
    float left, right;
    recon::ellipse_span(hy, q3.w, q3.x, q3.y, q3.z, lo, hi, left, right);
    left += mx - slack;
    right += mx + slack;
    if (left <= 7.5f && right >= 0.5f)
      out |= 1u << (2 * r);
    if (left <= 15.5f && right >= 8.5f)
      out |= 2u << (2 * r);
  }
  return out;
}

template <bool Depth>
__global__ void __launch_bounds__(kThreads) forward_kernel(Frame f, const uint2 *entries) {
  RECON_SHARED(float4, staged0, kThreads);   // mx, my (relative to the tile), a, b
  RECON_SHARED(float4, staged1, kThreads);   // c, log2 opacity, r, g
  RECON_SHARED(float2, staged2, kThreads);   // b, depth
  RECON_SHARED(uint32_t, regions, kThreads); // that each splat touches
  const int tile = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
  const int left = tile % f.tiles_x * kTile, top = tile / f.tiles_x * kTile;
  const int px = left + pixel_x(t), py = top + pixel_y(t);
  const bool inside = px < f.view.width && py < f.view.height;
  const float x = static_cast<float>(pixel_x(t)) + 0.5f;
  const float y = static_cast<float>(pixel_y(t)) + 0.5f;
  const uint32_t first = f.tile_begin[tile], last = f.tile_begin[tile + 1];
  const uint32_t first_bucket = f.bucket_begin[tile];
  const uint32_t buckets = f.bucket_begin[tile + 1] - first_bucket;

  float transmittance = inside ? 1.0f : 0.0f, color[3] = {0.0f, 0.0f, 0.0f}, depth = 0.0f;
  uint32_t batch = first;
  for (; batch < last; batch += kThreads) {
    if (!__syncthreads_or(transmittance > 0.0f)) // also: all are done with the last batch
      break;
    uint32_t touched = 0;
    if (batch + threadIdx.x < last) {
      const float4 *record =
          f.records + static_cast<size_t>(entries[batch + threadIdx.x].x) * kRecordVectors;
      float4 q0 = record[0];
      const float4 q1 = record[1], q2 = record[2], q3 = record[3];
      q0.x -= static_cast<float>(left);
      q0.y -= static_cast<float>(top);
      staged0[t] = q0;
      staged1[t] = q1;
      staged2[t] = make_float2(q2.x, q2.y);
      touched = touched_regions(q0.x, q0.y, q2.w, q3);
    }
    regions[t] = touched;
    __syncthreads();

    const uint32_t in_batch = last - batch < kThreads ? last - batch : kThreads;
    for (uint32_t group = 0; group < in_batch; group += kBucket) {
      if (f.keep) {
        float *state =
            f.states + static_cast<size_t>(first_bucket + (batch - first + group) / kBucket) *
                           static_cast<size_t>(f.state_planes * kTilePixels);
        state[t] = transmittance;
        for (int c = 0; c < 3; ++c)
          state[(1 + c) * kTilePixels + t] = color[c];
        if (Depth)
          state[4 * kTilePixels + t] = depth;
      }
      const uint32_t mine = regions[group + static_cast<uint32_t>(lane_id())];
      uint32_t hits = __ballot_sync(kAllLanes, mine >> warp_id() & 1);
      while (hits != 0) {
        const uint32_t j = group + static_cast<uint32_t>(__ffs(hits)) - 1;
        hits &= hits - 1;
        const float4 q0 = staged0[j], q1 = staged1[j];
        const float2 q2 = staged2[j];
        const Layer layer = layer_at(q0, q1.x, q1.y, x, y);
        const float w = layer.alpha * transmittance;
        color[0] += w * q1.z;
        color[1] += w * q1.w;
        color[2] += w * q2.x;
        if (Depth)
          depth += w * q2.y;
        transmittance = transmit(transmittance, w);
        if (!__any_sync(kAllLanes, transmittance > 0.0f))
          hits = 0;
      }
    }
  }

  if (f.keep) {
    if (t == 0) {
      const uint32_t entered = (batch - first) / kBucket;
      f.open_buckets[tile] = entered < buckets ? entered : buckets;
    }
    for (uint32_t k = threadIdx.x; k < buckets; k += kThreads)
      f.bucket_tile[first_bucket + k] = static_cast<uint32_t>(tile);
  }
  if (!inside)
    return;
  const int64_t plane = f.pixels();
  float *out = f.image + static_cast<int64_t>(py) * f.view.width + px;
  for (int c = 0; c < 3; ++c)
    out[c * plane] = color[c] + transmittance * f.options.background[c];
  out[kPlaneT * plane] = transmittance;
  out[kPlaneDepth * plane] = depth;
}

} // namespace

void raster_forward(const Frame &f, Stream stream) {
  const uint2 *entries = f.pair_entries[f.entries];
  if (f.options.depth)
    RECON_LAUNCH(forward_kernel<true>, f.tiles(), kThreads, stream, f, entries);
  else
    RECON_LAUNCH(forward_kernel<false>, f.tiles(), kThreads, stream, f, entries);
}

} // namespace recon_cuda
