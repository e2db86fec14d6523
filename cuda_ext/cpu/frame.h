// What the stages of one view share: footprints, tile lists, images, gradients.
#pragma once

#include "cpu/buffer.h"
#include "cpu/engine.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "recon/math/splat.h"

RECON_BEGIN

using recon_cpu::kBlock;
using recon_cpu::kRows;
using recon_cpu::kTile;

constexpr int kBlockFloats = kRows * kBlock;
constexpr int kMicros = 16;      // groups of 4x4 pixels in a tile: index = column * 4 + row
constexpr int kChunkBlocks = 32; // blocks a task of the per-splat passes
constexpr int kChunkSplats = kChunkBlocks * kBlock;

// A visible splat in the image plane: one cache line. The exponent of alpha, to base 2, at an
// offset (dx, dy) from the mean is `log2_opacity + a dx^2 + b dx dy + c dy^2`.
struct alignas(64) Record {
  float mx, my;
  float a, b, c;
  float log2_opacity;
  float color[3];
  float depth;
  float hx, hy;     // half extents of the ellipse alpha >= kAlphaMin
  float shear;      // x of the ellipse's middle moves by `shear` a unit of y
  float half_width; // half its width at dy = 0
  float dy_right;   // dy of its rightmost point
  float inv_hy;     // 1 / hy
};
static_assert(sizeof(Record) == 64, "a record is one cache line");

// One entry of a tile's list: the splat, and where its gradient sums for this tile go.
struct Entry {
  uint32_t id;
  uint32_t slot;
};

// A (tile, splat) pair before it is sorted into the tile's list.
struct Pair {
  uint32_t tile;
  uint32_t id;
};

struct Frame {
  recon_cpu::View view;
  recon_cpu::RenderOptions options;
  int64_t n = 0, blocks = 0;
  int tiles_x = 0, tiles_y = 0;
  int64_t stride = 0, plane = 0; // floats in a padded image row and plane

  Buffer<Record> records;       // [n] by splat, valid where visible
  Buffer<uint16_t> visible;     // [blocks] one bit a splat
  Buffer<uint32_t> chunk_count; // [chunks]
  Buffer<uint64_t> keys, keys2; // [visible] depth bits and splat
  int64_t visible_count = 0;

  Buffer<uint32_t> slot_begin, slot_count; // [n] by splat, valid where visible
  Buffer<uint32_t> tile_begin;             // [tiles + 1]
  Buffer<Entry> entries;                   // [pairs]
  static constexpr int kBinChunks = 16;
  Buffer<Pair> bin_pairs[kBinChunks];
  Buffer<uint32_t> bin_histogram; // [chunks][tiles]
  int64_t pair_count = 0;
  Buffer<uint16_t> masks; // [pairs] micros that an entry touches, as far as its tile was open

  // Planes of padded images: colour r, g, b, final transmittance, depth sum.
  Buffer<float> image;
  // Gradients of the loss: colour r, g, b, alpha, depth sum; then the absolute error.
  Buffer<float> image_grad;
  bool has_alpha_grad = false, has_depth_grad = false;
  Buffer<float> sums; // [pairs][kSums]

  void centre(float out[3]) const {
    const float *r = view.rotation, *t = view.translation;
    for (int i = 0; i < 3; ++i)
      out[i] = -(r[i] * t[0] + r[3 + i] * t[1] + r[6 + i] * t[2]);
  }
};

constexpr int kPlaneT = 3, kPlaneDepth = 4, kImagePlanes = 5;
constexpr int kPlaneGradAlpha = 3, kPlaneGradDepth = 4, kPlaneError = 5, kGradPlanes = 6;

// Loads the splat parameters of half a block (8 splats).
RECON_FN Gaussian<F8> load_gaussian(const float *half) {
  Gaussian<F8> g;
  for (int i = 0; i < 3; ++i)
    g.mean[i] = F8::loadu(half + (recon_cpu::kRowMean + i) * kBlock);
  for (int i = 0; i < 4; ++i)
    g.quat[i] = F8::loadu(half + (recon_cpu::kRowQuat + i) * kBlock);
  for (int i = 0; i < 3; ++i)
    g.log_scale[i] = F8::loadu(half + (recon_cpu::kRowLogScale + i) * kBlock);
  g.logit_opacity = F8::loadu(half + recon_cpu::kRowOpacity * kBlock);
  return g;
}

void project(Frame &frame, const float *params);
void sort_by_depth(Frame &frame);
void bin(Frame &frame);
void raster_forward(Frame &frame);
void raster_backward(Frame &frame);

RECON_END
