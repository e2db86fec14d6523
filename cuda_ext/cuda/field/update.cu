// Adam: entries of the table that the step touched, a thread an entry; the networks, a thread a
// weight; the photos' exposures, a block a photo.

#include "cuda/collective.cuh"
#include "cuda/field/frame.cuh"

namespace recon_cuda {

namespace {

using recon_types::kRecord;

// The settings of Adam that do not depend on the parameter.
struct AdamShape {
  float beta1, beta2, epsilon;
};

// The gradient of an entry, which is 0 from then on.
__device__ __forceinline__ void take_gradient(const FieldFrame &f, int64_t entry,
                                              float out[kFeatures]) {
  unsigned long long *sums = f.table_gradient + entry * kFeatures;
  for (int k = 0; k < kFeatures; ++k) {
    out[k] = static_cast<float>(static_cast<long long>(sums[k])) * (1.0f / kFixedOne);
    sums[k] = 0;
  }
}

// Whether the step touched an entry; its bit is 0 from then on. All lanes take part: a warp has the
// entries of one word.
__device__ __forceinline__ bool take_touched(const FieldFrame &f, int64_t entry, int64_t entries) {
  uint32_t word = 0;
  if (entry < entries)
    word = f.touched[entry / 32];
  __syncwarp();
  if (lane_id() == 0 && word != 0)
    f.touched[entry / 32] = 0;
  return (word >> lane_id() & 1u) != 0;
}

__global__ void __launch_bounds__(kFieldThreads)
    table_adam_kernel(FieldFrame f, float4 *records, uint2 *half, AdamShape adam, float rate,
                      const float *rates) {
  const int64_t entry = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  if (!take_touched(f, entry, f.shape.offset[kLevels]))
    return;
  float gradient[kFeatures];
  take_gradient(f, entry, gradient);
  float4 *record = records + entry * (kRecord / 4);
  float4 p = record[0], m = record[1], v = record[2], rest = record[3];
  rest.x += 1.0f;
  const int step = static_cast<int>(recon::min_(rest.x, static_cast<float>(kAdamRates)));
  const float r = rate * rates[step - 1];
  p.x -= recon::adam_step(gradient[0], r, adam.beta1, adam.beta2, adam.epsilon, m.x, v.x);
  p.y -= recon::adam_step(gradient[1], r, adam.beta1, adam.beta2, adam.epsilon, m.y, v.y);
  p.z -= recon::adam_step(gradient[2], r, adam.beta1, adam.beta2, adam.epsilon, m.z, v.z);
  p.w -= recon::adam_step(gradient[3], r, adam.beta1, adam.beta2, adam.epsilon, m.w, v.w);
  record[0] = p;
  record[1] = m;
  record[2] = v;
  record[3] = rest;
  half[entry] = make_uint2(float_to_half(p.x) | float_to_half(p.y) << 16,
                           float_to_half(p.z) | float_to_half(p.w) << 16);
}

__global__ void __launch_bounds__(kFieldThreads)
    read_table_gradients_kernel(FieldFrame f, float *out) {
  const int64_t entry = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  if (!take_touched(f, entry, f.shape.offset[kLevels]))
    return;
  float gradient[kFeatures];
  take_gradient(f, entry, gradient);
  for (int k = 0; k < kFeatures; ++k)
    out[entry * kFeatures + k] = gradient[k];
}

// Sum of the chunks' gradients, in order, and the decay's.
__device__ __forceinline__ float weight_gradient(const FieldFrame &f, int i, float decay) {
  float g = decay * f.weights.mlp[i];
  for (int c = 0; c < kChunks; ++c)
    g += f.weight_parts[c * kWeights + i];
  return g;
}

struct DenseAdam {
  float *parameter, *first, *second;
  AdamShape adam;
  float rate, decay;
};

__device__ __forceinline__ void dense_adam(const DenseAdam &a, int64_t i, float g) {
  if (g * 0.0f == 0.0f)
    a.parameter[i] -= recon::adam_step(g, a.rate, a.adam.beta1, a.adam.beta2, a.adam.epsilon,
                                       a.first[i], a.second[i]);
}

__global__ void __launch_bounds__(kFieldThreads) network_adam_kernel(FieldFrame f, DenseAdam a) {
  const int i = static_cast<int>(blockIdx.x * kFieldThreads + threadIdx.x);
  if (i < kWeights && f.status->overflow == 0)
    dense_adam(a, i, weight_gradient(f, i, a.decay));
}

__global__ void __launch_bounds__(kFieldThreads)
    read_network_gradients_kernel(FieldFrame f, float decay, float *out) {
  const int i = static_cast<int>(blockIdx.x * kFieldThreads + threadIdx.x);
  if (i < kWeights)
    out[i] = weight_gradient(f, i, decay);
}

// Sums over the rays of photo blockIdx.x, by channel, in a fixed order.
__device__ __forceinline__ void sum_exposure(const FieldFrame &f, float out[kColors]) {
  for (int k = 0; k < kColors; ++k)
    out[k] = 0.0f;
  for (uint32_t r = threadIdx.x; r < f.rays; r += kFieldThreads)
    if (f.train[r].image == static_cast<int>(blockIdx.x))
      for (int k = 0; k < kColors; ++k)
        out[k] += f.ray_exposure[3 * static_cast<int64_t>(r) + k];
  for (int k = 0; k < kColors; ++k)
    out[k] = block_sum<float, kFieldThreads>(out[k]);
}

__global__ void __launch_bounds__(kFieldThreads) exposure_adam_kernel(FieldFrame f, DenseAdam a) {
  float gradient[kColors];
  sum_exposure(f, gradient);
  if (threadIdx.x != 0 || f.status->overflow != 0)
    return;
  for (int k = 0; k < kColors; ++k) {
    const int64_t i = 3 * static_cast<int64_t>(blockIdx.x) + k;
    dense_adam(a, i, gradient[k] + a.decay * a.parameter[i]);
  }
}

__global__ void __launch_bounds__(kFieldThreads)
    read_exposure_gradients_kernel(FieldFrame f, const float *exposure, float decay, float *out) {
  float gradient[kColors];
  sum_exposure(f, gradient);
  if (threadIdx.x != 0)
    return;
  for (int k = 0; k < kColors; ++k) {
    const int64_t i = 3 * static_cast<int64_t>(blockIdx.x) + k;
    out[i] = gradient[k] + decay * exposure[i];
  }
}

// How much the rate of a dense Adam grows by the correction of the moments' bias.
float bias_correction(const StepOptions &o) {
  const double step = static_cast<double>(o.step);
  const double p1 = std::pow(static_cast<double>(o.beta1), step);
  const double p2 = std::pow(static_cast<double>(o.beta2), step);
  return static_cast<float>(std::sqrt(1.0 - p2) / (1.0 - p1));
}

} // namespace

void update_table(const FieldFrame &f, const FieldState &state, const StepOptions &o,
                  const float *rates, Stream stream) {
  RECON_LAUNCH(table_adam_kernel, blocks_for(f.shape.offset[kLevels], kFieldThreads), kFieldThreads,
               stream, f, reinterpret_cast<float4 *>(state.records),
               reinterpret_cast<uint2 *>(state.table_half), AdamShape{o.beta1, o.beta2, o.epsilon},
               o.table_rate, rates);
}

void update_networks(const FieldFrame &f, const FieldState &state, const StepOptions &o, int photos,
                     Stream stream) {
  const AdamShape adam = {o.beta1, o.beta2, o.epsilon};
  const float correction = bias_correction(o);
  const DenseAdam networks = {state.mlp, state.mlp_first,         state.mlp_second,
                              adam,      o.mlp_rate * correction, o.mlp_decay};
  RECON_LAUNCH(network_adam_kernel, blocks_for(kWeights, kFieldThreads), kFieldThreads, stream, f,
               networks);
  if (state.exposure == nullptr)
    return;
  const DenseAdam exposures = {state.exposure, state.exposure_first,         state.exposure_second,
                               adam,           o.exposure_rate * correction, o.exposure_decay};
  RECON_LAUNCH(exposure_adam_kernel, static_cast<unsigned>(photos), kFieldThreads, stream, f,
               exposures);
}

void read_table_gradients(const FieldFrame &f, float *table, Stream stream) {
  RECON_LAUNCH(read_table_gradients_kernel, blocks_for(f.shape.offset[kLevels], kFieldThreads),
               kFieldThreads, stream, f, table);
}

void read_network_gradients(const FieldFrame &f, const FieldState &state, const StepOptions &o,
                            int photos, float *mlp, float *exposure, Stream stream) {
  RECON_LAUNCH(read_network_gradients_kernel, blocks_for(kWeights, kFieldThreads), kFieldThreads,
               stream, f, o.mlp_decay, mlp);
  if (exposure != nullptr && state.exposure != nullptr)
    RECON_LAUNCH(read_exposure_gradients_kernel, static_cast<unsigned>(photos), kFieldThreads,
                 stream, f, state.exposure, o.exposure_decay, exposure);
}

} // namespace recon_cuda
