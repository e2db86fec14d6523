// Rasterises backward: a warp a bucket of 32 splats, a lane a splat (Mallick et al., "Taming 3DGS",
// 2024, section 4).
//
// The pixels of the tile that are still open at the bucket's start stream through the lanes: lane l
// has pixel i - l in iteration i, takes the pixel's state from the lane before, puts its splat in
// front, and hands the state on. Each lane adds up the gradients of its own splat in registers:
// there are no sums over lanes and no atomics, and the result has the same bits each time.
//
// As on the CPU it runs front to back: with g the gradient at the pixel, s_i the colour of splat i
// times g, F the final colour times g, and A_i the running sum of w_j s_j for j <= i,
// dL/d(alpha_i) = T_i s_i - (F - A_i) / (1 - alpha_i).

#include "cuda/frame.cuh"

namespace recon_cuda {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kRing = 2 * kWarp; // pixels in flight

template <bool Depth>
__global__ void __launch_bounds__(kThreads) backward_kernel(Frame f, const uint2 *entries) {
  RECON_SHARED(uint32_t, open_pixels, kWarps *kTilePixels);
  RECON_SHARED(float4, ring_grad, kWarps * kRing);              // gradient of colour, error
  RECON_SHARED(float4, ring_state, kWarps * kRing);             // transmittance, rest (F - A), x, y
  RECON_SHARED(float, ring_depth, kWarps *(Depth ? kRing : 1)); // gradient of depth
  const uint32_t bucket = blockIdx.x * kWarps + static_cast<uint32_t>(warp_id());
  if (bucket >= f.status->buckets) // the whole warp; from here on warps go their own ways
    return;
  const int lane = lane_id(), ring = warp_id() * kRing, list = warp_id() * kTilePixels;
  const uint32_t tile = f.bucket_tile[bucket];
  const uint32_t in_tile = bucket - f.bucket_begin[tile];
  const uint32_t index = f.tile_begin[tile] + in_tile * kBucket + static_cast<uint32_t>(lane);
  const bool present = index < f.tile_begin[tile + 1];
  const int left = static_cast<int>(tile) % f.tiles_x * kTile;
  const int top = static_cast<int>(tile) / f.tiles_x * kTile;

  // The pixels that are open here. Those outside of the image never were.
  const float *states =
      f.states + static_cast<size_t>(bucket) * static_cast<size_t>(f.state_planes * kTilePixels);
  int count = 0;
  if (in_tile < f.open_buckets[tile])
    for (int first = 0; first < kTilePixels; first += kWarp) {
      const bool open = states[first + lane] > 0.0f;
      const uint32_t bits = __ballot_sync(kAllLanes, open);
      if (open)
        open_pixels[list + count + __popc(bits & ((1u << lane) - 1u))] =
            static_cast<uint32_t>(first + lane);
      count += __popc(bits);
    }
  __syncwarp();

  uint2 entry = make_uint2(0, 0);
  float4 q0 = make_float4(0.0f, 0.0f, 0.0f, 0.0f), q1 = q0, q2 = q0;
  if (present) {
    entry = entries[index];
    const float4 *record = f.records + static_cast<size_t>(entry.x) * kRecordVectors;
    q0 = record[0];
    q1 = record[1];
    q2 = record[2];
    q0.x -= static_cast<float>(left);
    q0.y -= static_cast<float>(top);
  }

  float sums[kSums] = {};
  float transmittance = 0.0f, rest = 0.0f;
  const int64_t plane = f.pixels();
  for (int i = 0; i < count + kWarp - 1; ++i) {
    if (i % kWarp == 0) {
      __syncwarp();
      if (i + lane < count) {
        const int t = static_cast<int>(open_pixels[list + i + lane]);
        const int64_t at =
            static_cast<int64_t>(top + pixel_y(t)) * f.view.width + left + pixel_x(t);
        const float *image = f.image + at, *grad = f.image_grad + at;
        float4 g = make_float4(0.0f, 0.0f, 0.0f, grad[kPlaneError * plane]);
        g.x = grad[0];
        g.y = grad[plane];
        g.z = grad[2 * plane];
        float behind = g.x * (image[0] - states[1 * kTilePixels + t]) +
                       g.y * (image[plane] - states[2 * kTilePixels + t]) +
                       g.z * (image[2 * plane] - states[3 * kTilePixels + t]);
        if (f.has_alpha_grad) // behind the last splat lies a layer of "colour" -g_alpha
          behind -= grad[kPlaneGradAlpha * plane] * image[kPlaneT * plane];
        const int to = ring + (i + lane) % kRing;
        if (Depth) {
          const float g_depth = grad[kPlaneGradDepth * plane];
          behind += g_depth * (image[kPlaneDepth * plane] - states[4 * kTilePixels + t]);
          ring_depth[to] = g_depth;
        }
        ring_grad[to] = g;
        ring_state[to] = make_float4(states[t], behind, static_cast<float>(pixel_x(t)) + 0.5f,
                                     static_cast<float>(pixel_y(t)) + 0.5f);
      }
      __syncwarp();
    }
    transmittance = __shfl_up_sync(kAllLanes, transmittance, 1);
    rest = __shfl_up_sync(kAllLanes, rest, 1);
    const int k = i - lane;
    if (k < 0 || k >= count)
      continue;
    const int from = ring + k % kRing;
    const float4 g = ring_grad[from], state = ring_state[from];
    if (lane == 0) {
      transmittance = state.x;
      rest = state.y;
    }
    if (!present || transmittance == 0.0f)
      continue;
    const Layer layer = layer_at(q0, q1.x, q1.y, state.z, state.w);
    if (layer.alpha == 0.0f)
      continue;
    const float w = layer.alpha * transmittance;
    float s = q1.z * g.x + q1.w * g.y + q2.x * g.z;
    float g_depth = 0.0f;
    if (Depth) {
      g_depth = ring_depth[from];
      s += q2.y * g_depth;
    }
    rest -= w * s;
    // The clamp at kAlphaMax passes no gradient.
    const float v = layer.raw <= static_cast<float>(recon::kAlphaMax)
                        ? recon::layer_gradient(w, s, rest, layer.alpha)
                        : 0.0f;
    const float vx = v * layer.dx, vy = v * layer.dy;
    sums[recon::kS] += v;
    sums[recon::kSx] += vx;
    sums[recon::kSy] += vy;
    sums[recon::kSxx] += vx * layer.dx;
    sums[recon::kSxy] += vx * layer.dy;
    sums[recon::kSyy] += vy * layer.dy;
    sums[recon::kSr] += w * g.x;
    sums[recon::kSg] += w * g.y;
    sums[recon::kSb] += w * g.z;
    if (Depth)
      sums[recon::kSz] += w * g_depth;
    sums[recon::kSerror] += w * g.w;
    transmittance = transmit(transmittance, w);
  }
  if (present) {
    float4 *out = reinterpret_cast<float4 *>(f.sums + static_cast<size_t>(entry.y) * kSums);
    out[0] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    out[1] = make_float4(sums[4], sums[5], sums[6], sums[7]);
    out[2] = make_float4(sums[8], sums[9], sums[10], sums[11]);
  }
}

} // namespace

void raster_backward(const Frame &f, Stream stream) {
  const uint32_t blocks = blocks_for(f.bucket_capacity(), kWarps);
  const uint2 *entries = f.pair_entries[f.entries];
  if (f.has_depth_grad)
    RECON_LAUNCH(backward_kernel<true>, blocks, kThreads, stream, f, entries);
  else
    RECON_LAUNCH(backward_kernel<false>, blocks, kThreads, stream, f, entries);
}

} // namespace recon_cuda
