// What every splat engine shares, on the CPU and on a GPU: how parameters lie in memory, and what a
// step is asked to do.
#pragma once

#include <cstdint>

namespace recon_types {

// Splat parameters, and everything shaped like them (gradients, Adam's moments), are stored as
// blocks of kBlock splats: block, then row, then splat. A block is contiguous, so that a pass over
// all rows of a block streams memory, and a row of a block fills cache lines and lanes.
constexpr int kBlock = 16;

// Rows of a block: mean 0-2, quaternion wxyz 3-6, log scales 7-9, opacity logit 10, then the SH
// coefficients, three channels each, 11-58.
constexpr int kRowMean = 0;
constexpr int kRowQuat = 3;
constexpr int kRowLogScale = 7;
constexpr int kRowOpacity = 10;
constexpr int kRowSh = 11;
constexpr int kRows = 59;

constexpr int kTile = 16; // pixels

struct View {
  int width, height;
  float fx, fy, cx, cy;
  float rotation[9]; // cam_from_world, row-major
  float translation[3];
};

struct RenderOptions {
  float background[3];
  int sh_degree;
  bool antialias;
  bool depth;
};

struct LossOptions {
  float ssim_weight;     // weight of D-SSIM against L1, 0..1
  const uint8_t *weight; // (H, W) per-pixel weight 0..255, or null for 1 everywhere
};

struct AdamOptions {
  float learning_rate[kRows];
  float beta1, beta2, epsilon;
  int64_t step;      // 1 for the first update
  bool update_sh;    // also the SH rows above degree 0
  float opacity_reg; // gradient of opacity_reg * sum(opacity) / N, for visible splats
  float scale_reg;   // gradient of scale_reg * sum(scale) / (3 N), for visible splats
};

// Per-splat sums over the steps since they were cleared; each null or of length n.
struct SplatStats {
  float *error;    // sum over pixels of (blending weight x absolute colour error)
  float *gradient; // norm of the gradient in the 2D mean, in units of half the image size
  float *visible;  // number of steps in which the splat was visible
};

} // namespace recon_types
