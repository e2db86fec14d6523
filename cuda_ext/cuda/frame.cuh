// What the stages of one view share: device pointers, passed to kernels by value.
#pragma once

#include "cuda/platform.cuh"
#include "recon/math/splat.h"
#include "recon/splats.h"

namespace recon_cuda {

using recon::kSums;
using recon_types::kBlock;
using recon_types::kRows;
using recon_types::kTile;

constexpr int kBlockFloats = kRows * kBlock;
constexpr int kTilePixels = kTile * kTile;
constexpr int kBucket = 32; // consecutive splats of a tile's list: one warp's work backward
constexpr uint32_t kInvisible = 0xffffffffu;

// A record is four vectors: (mx, my, a, b), (c, log2 opacity, r, g), (b, depth, hx, hy),
// (shear, half width, dy right, 1 / hy); see recon/math/splat.h.
constexpr int kRecordVectors = 4;

// What the device knows of a step and the host does not, until it asks. The first part belongs to
// the current view, the second is summed over steps.
struct Status {
  uint32_t visible;
  uint32_t pairs;    // (tile, splat) pairs that are kept
  uint32_t buckets;  // of all tiles
  uint32_t overflow; // 1: pairs were left out; the view counts for nothing
  uint64_t wanted;   // pairs that the view has

  uint64_t most_wanted; // largest `wanted` so far
  uint64_t losses, skipped, nonfinite;
  double loss_sum, last_loss;
};

// Colour r, g, b, final transmittance, depth sum; gradients of colour r, g, b, alpha, depth sum,
// then the absolute error.
constexpr int kPlaneT = 3, kPlaneDepth = 4, kImagePlanes = 5;
constexpr int kPlaneGradAlpha = 3, kPlaneGradDepth = 4, kPlaneError = 5, kGradPlanes = 6;
// What forward keeps of each pixel at the start of each bucket: colour, transmittance, depth sum.
constexpr int kStatePlanes = 5;

struct Frame {
  recon_types::View view;
  recon_types::RenderOptions options;
  uint32_t n;
  int tiles_x, tiles_y;
  uint32_t pair_capacity;
  bool keep; // forward leaves what backward needs
  bool has_alpha_grad, has_depth_grad;
  int state_planes; // 4, or 5 with depth

  Status *status;
  float4 *records;                   // [n][4] by splat, valid where visible
  uint32_t *depth_keys;              // [n] bits of depth, kInvisible where culled
  uint32_t *sort_keys[2];            // [n]
  uint32_t *sort_ids[2];             // [n]; after the sort [0] holds the splats in depth order
  uint32_t *touched;                 // [n] tiles, in depth order
  uint32_t *scan;                    // [blocks of n] pairs before each block, in depth order
  uint32_t *slot_begin, *slot_count; // [n] by splat: its pairs, in the order of emission
  uint32_t *pair_tiles[2];           // [pairs]
  uint2 *pair_entries[2];            // [pairs] splat and slot
  uint32_t *digits;                  // radix sort: [256][blocks] counts, then [256] totals
  uint32_t *tile_begin;              // [tiles + 1]
  uint32_t *bucket_begin;            // [tiles + 1]
  uint32_t *open_buckets;            // [tiles] that forward entered before all pixels closed
  uint32_t *bucket_tile;             // [buckets]
  float *states;                     // [buckets][state_planes][256]
  float *sums;                       // [pairs][kSums] by slot
  float *image;                      // [kImagePlanes][height][width]
  float *image_grad;                 // [kGradPlanes][height][width]
  float *ssim_maps;                  // [3 channels][3][height][width]
  double *loss_parts;                // one a block of the loss kernels

  int entries; // which of pair_entries holds the sorted list

  __host__ __device__ int64_t pixels() const {
    return static_cast<int64_t>(view.width) * view.height;
  }
  __host__ __device__ uint32_t tiles() const { return static_cast<uint32_t>(tiles_x * tiles_y); }
  __host__ __device__ uint32_t bucket_capacity() const { return pair_capacity / kBucket + tiles(); }
};

RECON_FN void camera_centre(const recon_types::View &view, float out[3]) {
  const float *r = view.rotation, *t = view.translation;
  for (int i = 0; i < 3; ++i)
    out[i] = -(r[i] * t[0] + r[3 + i] * t[1] + r[6 + i] * t[2]);
}

// The pixel of a tile that thread t of its block renders: a warp covers 8x4 pixels, so that a splat
// concerns few warps.
RECON_FN int pixel_x(int t) { return (t / kWarp & 1) * 8 + (t & 7); }
RECON_FN int pixel_y(int t) { return (t / kWarp >> 1) * 4 + (t >> 3 & 3); }
constexpr int kRegions = 8; // warps of a tile

// Offset, exponent and alpha of a splat at a pixel; alpha is 0 where it does not count.
struct Layer {
  float dx, dy, raw, alpha; // raw: before the clamp and the threshold
};

RECON_FN Layer layer_at(float4 q0, float c, float log2_opacity, float x, float y) {
  Layer l;
  l.dx = x - q0.x;
  l.dy = y - q0.y;
  const float e = fma_(fma_(q0.z, l.dx, q0.w * l.dy), l.dx, fma_(c * l.dy, l.dy, log2_opacity));
  l.raw = exp2_fast(e);
  const float most = static_cast<float>(recon::kAlphaMax);
  l.alpha = e >= recon::kLog2AlphaMin ? (l.raw < most ? l.raw : most) : 0.0f;
  return l;
}

// Transmittance behind a layer of weight w; closed (0) once it falls under the threshold.
RECON_FN float transmit(float t, float w) {
  const float next = t - w;
  return next >= static_cast<float>(recon::kTransmittanceMin) ? next : 0.0f;
}

// The stages of a step, in order. All work is put into the stream; none waits for it.
void project(const Frame &frame, const float *params, Stream stream);
void sort_by_depth(const Frame &frame, Stream stream);
// Returns which of pair_entries holds the sorted list.
int bin(const Frame &frame, Stream stream);
void raster_forward(const Frame &frame, Stream stream);
void photometric_loss(const Frame &frame, const uint8_t *target,
                      const recon_types::LossOptions &options, Stream stream);
void raster_backward(const Frame &frame, Stream stream);
void splat_gradients(const Frame &frame, const float *params, float *out, Stream stream);
void splat_adam(const Frame &frame, float *params, float *m, float *v,
                const recon_types::AdamOptions &options, const recon_types::SplatStats &stats,
                Stream stream);

// Between the engine's planes and images with interleaved channels; null pointers are skipped.
void read_images(const Frame &frame, float *color, float *alpha, float *depth_sum, Stream stream);
void write_gradients(const Frame &frame, const float *color, const float *alpha,
                     const float *depth_sum, Stream stream);
void read_gradients(const Frame &frame, float *color, Stream stream);
void read_footprints(const Frame &frame, float *out, Stream stream);

} // namespace recon_cuda
