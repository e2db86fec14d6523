// What the stages of the field engine share: device pointers, passed to kernels by value.
//
// Rays take samples in rounds, a few each, and the density of a round's samples is evaluated before
// the rays that have not ended take more. Samples with a blending weight that counts are "live":
// they alone have a colour, activations and gradients. Samples lie in the order of rounds, rays and
// distance, live samples in that of rays and distance, whatever the order of threads.
#pragma once

#include "cuda/platform.cuh"
#include "recon/field.h"
#include "recon/math/field.h"
#include "recon/math/grid.h"
#include "recon/math/rays.h"

namespace recon_cuda {

using recon::MarchTable;
using recon::RayState;
using recon::TrainRay;
using recon_types::FieldShape;
using recon_types::FieldState;
using recon_types::FieldWeights;
using recon_types::GridOptions;
using recon_types::kEncoded;
using recon_types::kFeatures;
using recon_types::kGeometry;
using recon_types::kHidden;
using recon_types::kLevels;
using recon_types::kOut;
using recon_types::kSphere;
using recon_types::kWeights;
using recon_types::StepOptions;

constexpr int kFieldThreads = 128;
constexpr int kColors = 3;
// Rounds, and the samples that a ray takes in each but the last, in which it takes all that are
// left. Most rays of a trained field end within the first: what lies behind their ends in a round
// is evaluated for nothing, and each round is six launches.
constexpr int kRounds = 5;
RECON_FN uint32_t round_samples(int round) {
  return round == kRounds - 1 ? 0xffffffffu : round < 2 ? 8u : 8u << (round - 1);
}
// Numbers of samples are known to the device alone: kernels over them are launched with blocks for
// all that there is room for, up to so many, which then go on to further samples.
constexpr uint32_t kMostBlocks = 2048;
// Live samples are shared out to so many blocks, each of which sums weight gradients by itself.
constexpr int kChunks = 64;
constexpr int kChunkTile = 32; // live samples that such a block takes at a time

// Gradients of table entries are summed as integers, whose sums do not depend on their order: in
// units of 2^-48, which leaves room for sums of 2^15.
constexpr float kFixedOne = 0x1p48f;
constexpr float kFixedMost = 64.0f; // of one contribution

inline int64_t cube(int64_t side) { return side * side * side; }

// What the device knows of a batch of rays and the host does not, until it asks.
struct FieldStatus {
  uint32_t round_begin, samples; // the samples of this round: from the first up to the second
  uint32_t live;                 // that there was room for
  uint32_t marched;              // samples in front of the ends of their rays
  uint32_t overflow; // 1: samples or live samples were left out, the batch counts for nothing
  // Wanted up to the round that found no room: the further ones were not begun.
  uint32_t wanted_samples, wanted_live;
  double loss, error; // sums over rays
  float threshold;    // of the occupancy grid
};

// Sums over all training steps of an engine.
struct FieldTotals {
  double loss;
  uint64_t losses, skipped; // steps that counted, and those that did not
};

// Arrays with `_capacity` in their size are planes: one quantity of all samples, then the next.
struct FieldFrame {
  FieldShape shape;
  FieldWeights weights;
  recon_types::MarchOptions march;
  MarchTable table;
  const uint8_t *bits, *coarse; // the occupancy grid, and [(grid / kCoarse)^3] 0 where it is empty
  uint32_t rays, ray_capacity, sample_capacity, live_capacity;

  FieldStatus *status;
  FieldTotals *totals;    // null where a batch is no training step
  RayState *ray;          // [rays]
  TrainRay *train;        // [rays]
  float *ray_bias;        // [kHidden][ray_capacity] what harmonics give the first colour layer
  uint32_t *round_counts; // [kRounds][ray_capacity] samples, then those in front of the ray's end
  uint32_t *round_begins; // [kRounds][ray_capacity]
  uint32_t *ray_live;     // [rays]
  uint32_t *live_begin;   // [rays]
  float *ray_exposure;    // [rays][3] gradients in the log gain of the ray's photo
  double *loss_parts;     // [2][blocks of rays]

  float *u;        // [3][sample_capacity] unit cube
  float *t, *dt;   // [sample_capacity] box units
  uint32_t *owner; // [sample_capacity] ray, or cell of an update of the grid
  float *encoded;  // [kEncoded][sample_capacity]
  float *raw;      // [sample_capacity] the density's exponent
  float *opacity;  // [sample_capacity]
  float *weight;   // [sample_capacity] 0 where a sample does not count
  float *after;    // [sample_capacity] transmittance behind

  uint32_t *live;                     // [live_capacity] samples
  float *live_encoded;                // [kEncoded][live_capacity]
  float *h1, *geometry, *h2, *h3;     // [kHidden or kGeometry][live_capacity]
  float *color;                       // [kColors][live_capacity]
  float *d_out, *d_density;           // [kColors][live_capacity], [live_capacity]
  float *d_h3, *d_h2, *d_geometry;    // gradients, as the activations
  float *d_h1, *d_encoded;            //
  float *transposed;                  // [kWeights] weights as (outputs, inputs)
  float *weight_parts;                // [kChunks][kWeights] gradients
  unsigned long long *table_gradient; // [entries][kFeatures] fixed point, 0 between steps
  uint32_t *touched;                  // [entries / 32] one bit an entry, 0 between steps
};

// Photos of a training, in device memory.
struct FieldPhotos {
  const recon_types::FieldImage *images;
  int count;
};

// Blocks of a launch over up to `capacity` samples: see `for_samples`.
inline uint32_t sample_blocks(uint32_t capacity) {
  const uint32_t blocks = blocks_for(capacity, kFieldThreads);
  return blocks < kMostBlocks ? blocks : kMostBlocks;
}

// Calls f(i) for i from `begin` up to `end`, shared out over the threads of such a launch.
template <class F>
__device__ __forceinline__ void for_samples(uint32_t begin, uint32_t end, F &&f) {
  for (uint32_t i = begin + blockIdx.x * kFieldThreads + threadIdx.x; i < end;
       i += gridDim.x * kFieldThreads)
    f(i);
}

// The stages, in order. All work is put into the stream; none waits for it.
void random_rays(const FieldFrame &f, const FieldPhotos &photos, const float *exposure,
                 const StepOptions &options, Stream stream);
void given_rays(const FieldFrame &f, const recon_types::RayBatch &batch, const float *exposure,
                Stream stream);
// Rays of `f.rays` pixels of a view from `first` on, in rows; TrainRay::scale is then z-depth over
// distance. No samples at a z-depth (scene units) less than `near`.
void view_rays(const FieldFrame &f, const recon_types::View &view, float near, int64_t first,
               Stream stream);
// One sample a point; a ray each for its direction, where `directions` is not null.
void point_samples(const FieldFrame &f, const float *points, const float *directions,
                   Stream stream);
// What such samples came to, in rows from `first` on; null outputs are skipped.
void read_points(const FieldFrame &f, int64_t first, float *encoded, float *density, float *color,
                 Stream stream);
// The samples of a round; before them, in round 0, none.
void march(const FieldFrame &f, int round, Stream stream);
void encode(const FieldFrame &f, Stream stream);
// Exponent and opacity of the density of the round's samples.
void evaluate_density(const FieldFrame &f, Stream stream);
// Their blending weights, and how far their rays have come.
void blend_rays(const FieldFrame &f, int round, Stream stream);
// After the last round: the list of live samples.
void list_live(const FieldFrame &f, Stream stream);
// Makes every sample live.
void take_all(const FieldFrame &f, Stream stream);
void forward_live(const FieldFrame &f, Stream stream);
// The loss, added to the totals, and the gradients that the live samples' networks begin with.
// `rendered` (rays, 3) or null.
void ray_losses(const FieldFrame &f, float huber_delta, float distortion, float *rendered,
                Stream stream);
// Pixels of a view from `first` on; `depth` may be null.
void shade_rays(const FieldFrame &f, const float background[3], int64_t first, float *color,
                float *alpha, float *depth, Stream stream);
void backward_live(const FieldFrame &f, Stream stream);
void weight_gradients(const FieldFrame &f, Stream stream);
void scatter(const FieldFrame &f, Stream stream);

// Adam, for an update with complete gradients; `rates` [kAdamRates] on the device.
constexpr int kAdamRates = 2048;
void update_table(const FieldFrame &f, const FieldState &state, const StepOptions &options,
                  const float *rates, Stream stream);
void update_networks(const FieldFrame &f, const FieldState &state, const StepOptions &options,
                     int photos, Stream stream);
// The same gradients as numbers; `exposure` may be null.
void read_table_gradients(const FieldFrame &f, float *table, Stream stream);
void read_network_gradients(const FieldFrame &f, const FieldState &state,
                            const StepOptions &options, int photos, float *mlp, float *exposure,
                            Stream stream);

// The occupancy grid.
void copy_occupancy(const FieldFrame &f, const uint8_t *from, uint8_t *bits, uint8_t *coarse,
                    uint8_t *scratch, Stream stream);
// The cells from `first` on that an update looks at, as samples.
void pick_cells(const FieldFrame &f, const float *density, const GridOptions &options,
                int64_t first, uint32_t cells, uint32_t *block_counts, Stream stream);
// Densities as `evaluate_density` found them, for the cells that were looked at.
void store_cells(const FieldFrame &f, float *density, const GridOptions &options, Stream stream);
// Decides which cells are occupied.
void threshold_cells(const FieldFrame &f, const float *density, const GridOptions &options,
                     double *parts, uint8_t *bits, Stream stream);

} // namespace recon_cuda
