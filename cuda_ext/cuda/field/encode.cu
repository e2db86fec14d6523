// The multiresolution hash grid: look-up, and the sums of gradients into it. A thread a sample and
// a level, level after level, so that few levels' tables at a time are in the second cache.

#include "cuda/field/frame.cuh"

namespace recon_cuda {

namespace {

// The corners of the cell of a unit cube position on a level: entries and trilinear weights.
__device__ __forceinline__ void find_corners(const FieldShape &shape, int level, const float u[3],
                                             uint32_t entry[8], float weight[8]) {
  const int resolution = shape.resolution[level];
  float inside[3];
  uint32_t cell[3];
  for (int i = 0; i < 3; ++i) {
    const float p = u[i] * static_cast<float>(resolution);
    int c = static_cast<int>(p);
    c = c < resolution - 1 ? c : resolution - 1;
    c = c > 0 ? c : 0;
    inside[i] = p - static_cast<float>(c);
    cell[i] = static_cast<uint32_t>(c);
  }
  recon::corner_weights(inside, weight);
  const int64_t entries = shape.offset[level + 1] - shape.offset[level];
  recon::corner_entries(cell, shape.dense[level], static_cast<uint32_t>(resolution + 1),
                        static_cast<uint32_t>(entries - 1), entry);
}

__device__ __forceinline__ void load_position(const FieldFrame &f, uint32_t sample, float u[3]) {
  for (int i = 0; i < 3; ++i)
    u[i] = f.u[i * static_cast<int64_t>(f.sample_capacity) + sample];
}

__device__ __forceinline__ void encode_sample(const FieldFrame &f, int level, uint32_t s) {
  float sum[kFeatures] = {}, u[3], weight[8];
  uint32_t entry[8];
  load_position(f, s, u);
  find_corners(f.shape, level, u, entry, weight);
  const uint2 *table = reinterpret_cast<const uint2 *>(f.weights.table) + f.shape.offset[level];
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    const uint2 four = table[entry[c]];
    sum[0] += weight[c] * half_to_float(four.x & 0xffffu);
    sum[1] += weight[c] * half_to_float(four.x >> 16);
    sum[2] += weight[c] * half_to_float(four.y & 0xffffu);
    sum[3] += weight[c] * half_to_float(four.y >> 16);
  }
  for (int k = 0; k < kFeatures; ++k)
    f.encoded[(level * kFeatures + k) * static_cast<int64_t>(f.sample_capacity) + s] = sum[k];
}

__global__ void __launch_bounds__(kFieldThreads) encode_kernel(FieldFrame f) {
  const int level = static_cast<int>(blockIdx.y);
  for_samples(f.status->round_begin, f.status->samples,
              [&](uint32_t s) { encode_sample(f, level, s); });
}

// Adds a contribution to a sum whose bits do not depend on the order of additions. What is not
// finite is left out.
__device__ __forceinline__ void add_fixed(unsigned long long *sum, float value) {
  if (!(value * 0.0f == 0.0f))
    return;
  const float limited = recon::min_(recon::max_(value, -kFixedMost), kFixedMost);
  const auto units = static_cast<long long>(rintf(limited * kFixedOne));
  if (units != 0)
    atomicAdd(sum, static_cast<unsigned long long>(units));
}

__device__ __forceinline__ void scatter_sample(const FieldFrame &f, int level, uint32_t i) {
  float u[3], weight[8], gradient[kFeatures];
  uint32_t entry[8];
  load_position(f, f.live[i], u);
  find_corners(f.shape, level, u, entry, weight);
  for (int k = 0; k < kFeatures; ++k)
    gradient[k] = f.d_encoded[(level * kFeatures + k) * static_cast<int64_t>(f.live_capacity) + i];
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    const int64_t at = f.shape.offset[level] + entry[c];
    for (int k = 0; k < kFeatures; ++k)
      add_fixed(f.table_gradient + at * kFeatures + k, weight[c] * gradient[k]);
    // Most entries are touched by many samples: looking first saves most of the atomics.
    uint32_t *word = f.touched + at / 32;
    const uint32_t bit = 1u << (at & 31);
    if ((*word & bit) == 0)
      atomicOr(word, bit);
  }
}

__global__ void __launch_bounds__(kFieldThreads) scatter_kernel(FieldFrame f) {
  const int level = static_cast<int>(blockIdx.y);
  for_samples(0, f.status->live, [&](uint32_t i) { scatter_sample(f, level, i); });
}

} // namespace

void encode(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(encode_kernel, Grid(sample_blocks(f.sample_capacity), kLevels), kFieldThreads,
               stream, f);
}

void scatter(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(scatter_kernel, Grid(sample_blocks(f.live_capacity), kLevels), kFieldThreads, stream,
               f);
}

} // namespace recon_cuda
