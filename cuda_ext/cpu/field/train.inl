// Forward and backward of a group of rays.

#include "cpu/field/state.h"

RECON_BEGIN

// What a step is about, the same for all groups.
struct StepContext {
  const Space *space;
  const FieldShape *shape;
  FieldWeights weights;
  const float *transposed; // weights for the backward pass
  float huber_delta, distortion;
  float *exposure_grad; // [rays][3] or null
  float *rendered;      // [rays][3] or null
};

namespace {

// Colours of the chunk's samples.
void forward_color(const StepContext &c, const TrainRay *rays, int n, Chunk &chunk,
                   float *ray_bias) {
  using namespace recon_cpu;
  const float *mlp = c.weights.mlp;
  // The harmonics are the same along a ray, and so is their part of the first layer.
  static_assert(sizeof(TrainRay) % sizeof(float) == 0, "rays are rows of floats");
  layer<kSphere, kHidden, Finish::linear>(rays[0].sphere, sizeof(TrainRay) / sizeof(float),
                                          mlp + kColor1Sphere, ray_bias, n);
  for (int64_t first = 0; first < chunk.n; first += kRows) {
    const int rows = static_cast<int>(chunk.n - first < kRows ? chunk.n - first : kRows);
    const float *bias[kRows + kSparePad];
    for (int i = 0; i < rows; ++i)
      bias[i] = ray_bias + chunk.samples[first + i].ray * kHidden;
    for (int i = rows; i < rows + kSparePad; ++i)
      bias[i] = ray_bias;
    float *h2 = chunk.hidden2.data() + first * kHidden,
          *h3 = chunk.hidden3.data() + first * kHidden;
    float *color = chunk.color.data() + first * kOut;
    layer<kGeometry, kHidden, Finish::relu, true>(chunk.geometry.data() + first * kGeometry,
                                                  kGeometry, mlp + kColor1, h2, rows, nullptr,
                                                  bias);
    layer<kHidden, kHidden, Finish::relu>(h2, kHidden, mlp + kColor2, h3, rows);
    layer<kHidden, kOut, Finish::linear>(h3, kHidden, mlp + kColor3, color, rows);
    for (int i = 0; i < rows; ++i)
      sigmoid(F8::loadu(color + i * kOut)).storeu(color + i * kOut);
  }
}

} // namespace

// Adds one chunk of up to kChunkRays rays, numbered from `first_ray` in the step, to a group.
void train_chunk(const StepContext &c, RayState *states, const TrainRay *rays, int n,
                 int64_t first_ray, Scratch &scratch, Group &group) {
  using namespace recon_cpu;
  Chunk &chunk = scratch.chunk;
  chunk.n = 0;
  group.marched += trace(*c.space, *c.shape, c.weights, states, n, scratch.block, scratch.seconds,
                         [&](const Block &b) {
                           Lap lap(scratch.seconds);
                           chunk.reserve(chunk.n + b.n);
                           for (int i = 0; i < b.n; ++i) {
                             if (b.weight[i] == 0.0f)
                               continue;
                             const int64_t at = chunk.n++;
                             chunk.samples[at] = {b.ray[i],
                                                  b.t[i],
                                                  b.dt[i],
                                                  b.raw[i],
                                                  b.weight[i],
                                                  b.after[i],
                                                  {b.u[0][i], b.u[1][i], b.u[2][i]}};
                             std::memcpy(&chunk.encoded[at * kEncoded], b.encoded + i * kEncoded,
                                         kEncoded * sizeof(float));
                             std::memcpy(&chunk.hidden[at * kHidden], b.hidden + i * kHidden,
                                         kHidden * sizeof(float));
                             std::memcpy(&chunk.geometry[at * kGeometry],
                                         b.geometry + i * kGeometry, kGeometry * sizeof(float));
                           }
                           lap(kComposite);
                         });
  group.live += chunk.n;

  Lap lap(scratch.seconds);
  alignas(32) float ray_bias[(kChunkRays + kSparePad) * kHidden];
  alignas(32) float bias_grad[kChunkRays * kHidden];
  float color[kChunkRays][3], behind[kChunkRays], grad[kChunkRays][3];
  recon::Distortion distortion[kChunkRays];
  if (chunk.n > 0) {
    forward_color(c, rays, n, chunk, ray_bias);
    lap(kColor);
  }

  for (int r = 0; r < n; ++r) {
    for (int k = 0; k < 3; ++k)
      color[r][k] = 0.0f;
    distortion[r] = {distortion_scale(rays[r], c.distortion)};
  }
  for (int64_t i = 0; i < chunk.n; ++i) {
    const Sample &s = chunk.samples[i];
    for (int k = 0; k < 3; ++k)
      color[s.ray][k] += s.weight * chunk.color[i * kOut + k];
    distortion[s.ray].add(s.weight, s.t);
  }
  for (int r = 0; r < n; ++r) {
    const RayOutcome out = ray_outcome(rays[r], color[r], states[r].transmittance, c.huber_delta);
    behind[r] = out.behind;
    for (int k = 0; k < 3; ++k) {
      group.loss += static_cast<double>(out.loss[k]);
      group.error += static_cast<double>(out.error[k]);
      grad[r][k] = out.grad[k];
      if (c.exposure_grad != nullptr)
        c.exposure_grad[(first_ray + r) * 3 + k] = out.exposure[k];
      if (c.rendered != nullptr)
        c.rendered[(first_ray + r) * 3 + k] = out.shown[k];
    }
  }
  lap(kComposite);
  if (chunk.n == 0)
    return;

  // Blocks from the last sample to the first, so that `behind` holds, for each ray, what lies
  // behind the sample at hand: the gradient's sum over all later samples and the background.
  float *memory = scratch.temporary.data();
  float *d_out = memory, *d_h3 = d_out + (kRows + kSparePad) * kOut;
  float *d_h2 = d_h3 + (kRows + kSparePad) * kHidden;
  float *d_geometry = d_h2 + (kRows + kSparePad) * kHidden;
  float *d_h1 = d_geometry + (kRows + kSparePad) * kGeometry;
  float *d_encoded = d_h1 + (kRows + kSparePad) * kHidden;
  float d_raw[kRows], apart = 0.0f; // apart: the loss by distortion
  std::memset(bias_grad, 0, sizeof(bias_grad));
  const int64_t blocks = div_up(chunk.n, kRows);
  for (int64_t b = blocks - 1; b >= 0; --b) {
    const int64_t first = b * kRows;
    const int rows = static_cast<int>(chunk.n - first < kRows ? chunk.n - first : kRows);
    for (int i = rows - 1; i >= 0; --i) {
      const Sample &s = chunk.samples[first + i];
      for (int k = 3; k < kOut; ++k)
        d_out[i * kOut + k] = 0.0f;
      const float d_weight = distortion[s.ray].weight_vjp(s.weight, s.t, s.dt, apart);
      d_raw[i] = blend_vjp(&chunk.color[(first + i) * kOut], grad[s.ray], d_weight, s.weight,
                           s.after, s.dt, behind[s.ray], d_out + i * kOut);
    }
    const float *encoded = &chunk.encoded[first * kEncoded], *h1 = &chunk.hidden[first * kHidden];
    const float *geometry = &chunk.geometry[first * kGeometry];
    const float *h2 = &chunk.hidden2[first * kHidden], *h3 = &chunk.hidden3[first * kHidden];
    float *dw = group.mlp.data();
    const float *wt = c.transposed;
    outer<kHidden, kOut>(h3, kHidden, d_out, rows, dw + kColor3);
    layer<kOut, kHidden, Finish::gate>(d_out, kOut, wt + kColor3, d_h3, rows, h3);
    outer<kHidden, kHidden>(h2, kHidden, d_h3, rows, dw + kColor2);
    layer<kHidden, kHidden, Finish::gate>(d_h3, kHidden, wt + kColor2, d_h2, rows, h2);
    outer<kGeometry, kHidden>(geometry, kGeometry, d_h2, rows, dw + kColor1);
    layer<kHidden, kGeometry, Finish::linear>(d_h2, kHidden, wt + kColor1, d_geometry, rows);
    for (int i = 0; i < rows; ++i) {
      float *into = bias_grad + chunk.samples[first + i].ray * kHidden;
      for (int k = 0; k < kHidden; k += kLanes)
        (F8::load(into + k) + F8::loadu(d_h2 + i * kHidden + k)).store(into + k);
    }
    for (int i = 0; i < rows; ++i)
      d_geometry[i * kGeometry] += d_raw[i] * density_slope(chunk.samples[first + i].raw);
    outer<kHidden, kGeometry>(h1, kHidden, d_geometry, rows, dw + kDensity2);
    layer<kGeometry, kHidden, Finish::gate>(d_geometry, kGeometry, wt + kDensity2, d_h1, rows, h1);
    outer<kEncoded, kHidden>(encoded, kEncoded, d_h1, rows, dw + kDensity1);
    layer<kHidden, kEncoded, Finish::linear>(d_h1, kHidden, wt + kDensity1, d_encoded, rows);

    float *out = group.gradients.append(rows);
    for (int k = 0; k < 3; ++k)
      for (int i = 0; i < kRows; ++i)
        out[k * kRows + i] = i < rows ? chunk.samples[first + i].u[k] : 0.0f;
    for (int level = 0; level < kLevels; ++level) {
      float *features = out + 3 * kRows + level * kRows * kFeatures;
      for (int i = 0; i < rows; ++i)
        *reinterpret_cast<vf4u *>(features + i * kFeatures) =
            *reinterpret_cast<const vf4u *>(d_encoded + i * kEncoded + level * kFeatures);
    }
  }
  group.loss += static_cast<double>(apart);
  outer<kSphere, kHidden>(rays[0].sphere, sizeof(TrainRay) / sizeof(float), bias_grad, n,
                          group.mlp.data() + kColor1Sphere);
  lap(kBackward);
}

RECON_END
