// What the engines of the hash-grid field share, on the CPU and on a GPU: sizes, how parameters lie
// in memory, and what a step is asked to do. recon/kernels/field_ops.py states the semantics.
#pragma once

#include <cstdint>

#include "recon/splats.h"

namespace recon_types {

// Sizes of the field. An entry of a hash table has kFeatures numbers.
constexpr int kLevels = 8;
constexpr int kFeatures = 4;
constexpr int kEncoded = kLevels * kFeatures;
constexpr int kHidden = 64;
constexpr int kGeometry = 16; // out of the density network; the first is the density's exponent
constexpr int kSphere = 16;   // spherical harmonics of the viewing direction
constexpr int kOut = 8;       // out of the colour network: r, g, b and padding

// The weights of all layers in one array, each as (inputs, outputs), without biases. The first
// layer of the colour network takes the geometry features, then the harmonics.
constexpr int kDensity1 = 0;
constexpr int kDensity2 = kDensity1 + kEncoded * kHidden;
constexpr int kColor1 = kDensity2 + kHidden * kGeometry;
constexpr int kColor1Sphere = kColor1 + kGeometry * kHidden;
constexpr int kColor2 = kColor1Sphere + kSphere * kHidden;
constexpr int kColor3 = kColor2 + kHidden * kHidden;
constexpr int kWeights = kColor3 + kHidden * kOut;

// Where the field lies and how fine it is. Box space: (x - centre) / half.
struct FieldShape {
  int resolution[kLevels];     // cells a side of the unit cube
  int64_t offset[kLevels + 1]; // first entry of each level
  bool dense[kLevels];         // one entry a vertex, else hashed
  int grid;                    // cells a side of the occupancy grid, a multiple of 32
  bool contracted;             // all of space is squeezed around the box; else the box is all
  float centre[3], half;
  float density_bias; // added to the density's exponent
};

// What rendering needs.
struct FieldWeights {
  const uint16_t *table; // (entries, kFeatures) half precision
  const float *mlp;      // (kWeights)
};

// All that the optimiser keeps of an entry, one cache line: kFeatures parameters, as many first and
// second moments, the number of updates, and padding.
constexpr int kRecord = 16;
constexpr int kRecordFirst = kFeatures, kRecordSecond = 2 * kFeatures;
constexpr int kRecordSteps = 3 * kFeatures;

// What training changes. Moments have the shape of their parameters.
struct FieldState {
  float *records;       // (entries, kRecord)
  uint16_t *table_half; // (entries, kFeatures) the parameters of the table, rounded
  float *mlp, *mlp_first, *mlp_second;
  float *exposure, *exposure_first, *exposure_second; // (images, 3) log gains, or null
};

// Marching: sample distances in box units, the same for all rays but for a shift of a part of a
// step. See step_length in recon/math/field.h.
struct MarchOptions {
  float near, far;
  float shortest, cone;
  float min_weight;        // samples with less blending weight have no colour and no gradient
  float min_transmittance; // rays end under it
  float phase;             // where in each step a picture takes its sample, 0..1
};

constexpr int kPhotoTile = 8; // pixels a side of a photo's tiles

// A photo: RGBA, colours premultiplied by alpha; weight 0..255 a pixel, or null. `share`: what part
// of the photo's rays, times 2^32, falls into a tile or one before it, row by row; null for the
// same part to each pixel.
struct FieldImage {
  const uint8_t *rgba, *weight;
  const uint32_t *share;
  View view;
};

// Rays given from outside, for tests. Distances in scene units.
struct RayBatch {
  int64_t n;
  const float *origin, *direction; // (n, 3), scene space, unit directions
  const float *jitter;             // (n), 0..1
  const float *target;             // (n, 4) premultiplied colour and alpha
  const float *background;         // (n, 3)
  const int32_t *image;            // (n)
};

struct StepOptions {
  uint32_t seed;
  int64_t step; // 1 for the first update
  int rays;
  float huber_delta;
  float distortion; // weight of the rays' mean distortion
  float spread;     // part of a pixel's width and height, around its middle, that rays go through
  bool random_background;
  float background[3];
  float table_rate, mlp_rate, exposure_rate;
  float beta1, beta2, epsilon;
  float mlp_decay, exposure_decay; // gradients of decay/2 times the squared norm
};

struct StepResult {
  double loss;     // mean over rays and channels
  double error;    // mean squared error over rays and channels
  int64_t marched; // samples in front of the ends of rays; CPU: also those evaluated behind
  int64_t live;    // samples with colour and gradient
};

struct GridOptions {
  uint32_t seed;
  int occupied_every; // an occupied cell is looked at in one of so many updates
  int all_every;      // any cell
  float decay;        // of a cell's density before it is looked at
  float shortest;     // marching step, box units
  float threshold;    // opacity of a step that makes a cell occupied
};

} // namespace recon_types
