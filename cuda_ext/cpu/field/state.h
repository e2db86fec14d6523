// What the stages of the field engine share.
#pragma once

#include "cpu/buffer.h"
#include "cpu/field/field.h"
#include "cpu/field/half.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "recon/math/field.h"
#include "recon/math/grid.h"
#include "recon/math/rays.h"

RECON_BEGIN

using recon_cpu::FieldShape;
using recon_cpu::FieldWeights;
using recon_cpu::kEncoded;
using recon_cpu::kFeatures;
using recon_cpu::kGeometry;
using recon_cpu::kHidden;
using recon_cpu::kLevels;
using recon_cpu::kOut;
using recon_cpu::kSphere;
using recon_cpu::MarchOptions;

constexpr int kRows = 96;      // samples of a block: whole tiles of rows, whole vectors
constexpr int kSparePad = 8;   // rows that a tile may touch behind the last one
constexpr int kChunkRays = 48; // rays that are composited together
constexpr int kGroups = 32;    // of rays: each sums weight gradients by itself, in order

// Samples under evaluation: positions in the unit cube, distances, then what the networks made of
// them. `weight` is 0 for samples behind the end of their ray and for those too faint to count.
struct Block {
  int n = 0;
  alignas(32) float u[3][kRows];
  alignas(32) float t[kRows], dt[kRows];
  alignas(32) float raw[kRows], opacity[kRows];
  float weight[kRows], after[kRows]; // blending weight, transmittance behind the sample
  int ray[kRows];
  alignas(32) float encoded[(kRows + kSparePad) * kEncoded];
  alignas(32) float hidden[(kRows + kSparePad) * kHidden];
  alignas(32) float geometry[(kRows + kSparePad) * kGeometry];
};

// The marching table and the occupancy grid.
struct Space {
  MarchOptions options = {};
  Buffer<float> t, dt; // [count + kLanes]
  int count = 0;
  Buffer<uint8_t> bits;    // [grid^3 / 8]
  Buffer<uint8_t> coarse;  // [(grid / kCoarse)^3]: 1 where an occupied cell may be within one cell
  Buffer<uint8_t> coarse2; // scratch

  MarchTable table() const { return {t.data(), dt.data(), count, options.far}; }
};

// A sample that counts, in the order of evaluation.
struct Sample {
  int ray;
  float t, dt, raw, weight, after;
  float u[3];
};

// The samples that count of a chunk of rays, with their activations as rows.
struct Chunk {
  int64_t n = 0;
  Buffer<Sample> samples;
  Buffer<float> encoded, hidden, geometry, hidden2, hidden3, color;

  void reserve(int64_t rows) {
    rows += kRows + kSparePad;
    samples.reserve(rows, true);
    encoded.reserve(rows * kEncoded, true);
    hidden.reserve(rows * kHidden, true);
    geometry.reserve(rows * kGeometry, true);
    hidden2.reserve(rows * kHidden, true);
    hidden3.reserve(rows * kHidden, true);
    color.reserve(rows * kOut, true);
  }
};

// Gradients of the encoding, for the scatter: blocks of kRows samples, each with positions (3,
// kRows), then for each level (kRows, kFeatures).
constexpr int64_t kGradBlock = kRows * (3 + kEncoded);
struct Gradients {
  Buffer<float> blocks;
  Buffer<int> rows; // samples of each block
  int64_t n = 0;    // blocks

  float *append(int count) {
    blocks.reserve((n + 1) * kGradBlock, true);
    rows.reserve(n + 1, true);
    rows[n] = count;
    return blocks.data() + n++ * kGradBlock;
  }
};

// One group of rays of a step.
struct Group {
  Gradients gradients;
  Buffer<float> mlp; // [kWeights]
  double loss, error;
  int64_t marched, live;
};

enum Stage {
  kMarch,
  kEncode,
  kDensity,
  kColor,
  kComposite,
  kBackward,
  kScatter,
  kAdam,
  kGrid,
  kStages
};

// What a thread needs for itself.
struct Scratch {
  Block block;
  Chunk chunk;
  Buffer<float> temporary;  // activations' gradients of a block
  Buffer<float> table_grad; // [entries of the largest level][kFeatures], all zero between uses
  Buffer<uint64_t> touched; // one bit an entry, likewise
  int64_t table_size = 0;   // entries
  double seconds[kStages] = {};
  char pad[64];
};

struct Lap {
  double *seconds;
  double start;
  explicit Lap(double *into) : seconds(into), start(recon_cpu::thread_seconds()) {}
  void operator()(Stage stage) {
    const double now = recon_cpu::thread_seconds();
    seconds[stage] += now - start;
    start = now;
  }
};

RECON_END
