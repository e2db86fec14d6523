// Per-element mathematics of the hash-grid field: where a point lies, what the grid returns there,
// and how density becomes colour. recon/nerf/reference.py states the same in torch.
//
// Mueller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022;
// the contraction after Barron et al., "Mip-NeRF 360", 2022, in the maximum norm.
#pragma once

#include "recon/math/scalar.h"

RECON_BEGIN

// Steps grow with the square of the distance from here on (box units): see step_length.
constexpr double kFarFrom = 4.0;

// Box space has the region of interest in [-1, 1]^3. Beyond it space is squeezed so that all of it
// fits [-2, 2]^3: p stays where |p| <= 1, else p (2 - 1 / |p|) / |p|, with |p| = max |p_i|.
// Returns the length that a step at p has before squeezing, over the one after, along p: max(1,
// |p|)^2.
template <class T> RECON_FN T contract(const T p[3], T out[3]) {
  const T zero(0.0), one(1.0);
  T norm = max_(p[0], zero - p[0]);
  norm = max_(norm, max_(p[1], zero - p[1]));
  norm = max_(norm, max_(p[2], zero - p[2]));
  const T inv = one / max_(norm, one);
  const T scale = (T(2.0) - inv) * inv;
  for (int i = 0; i < 3; ++i)
    out[i] = p[i] * scale;
  return one / (inv * inv);
}

// Unit cube coordinates of a point in box space; returns by how much a step there is squeezed.
template <class T> RECON_FN T unit_from_box(bool contracted, const T p[3], T u[3]) {
  T stretch(1.0);
  if (contracted) {
    T q[3];
    stretch = contract(p, q);
    for (int i = 0; i < 3; ++i)
      u[i] = q[i] * T(0.25) + T(0.5);
  } else {
    for (int i = 0; i < 3; ++i)
      u[i] = p[i] * T(0.5) + T(0.5);
  }
  return stretch;
}

// Box coordinates of a point of the unit cube, and the stretch there.
RECON_FN float box_from_unit(bool contracted, const float u[3], float p[3]) {
  for (int i = 0; i < 3; ++i)
    p[i] = contracted ? 4.0f * u[i] - 2.0f : 2.0f * u[i] - 1.0f;
  if (!contracted)
    return 1.0f;
  float norm = 0.0f;
  for (int i = 0; i < 3; ++i)
    norm = max_(norm, max_(p[i], -p[i]));
  if (norm <= 1.0f)
    return 1.0f;
  norm = min_(norm, 1.999f);
  const float wide = 1.0f / (2.0f - norm);
  for (int i = 0; i < 3; ++i)
    p[i] *= wide / norm;
  return wide * wide;
}

// The length of the marching step at distance t from the camera (box units): constant near by, then
// growing with the distance as the footprint of a pixel does (`cone` radians), and with its square
// where parallax can no longer tell depths apart.
template <class T> RECON_FN T step_length(T t, T shortest, T cone) {
  const T far_factor = max_(t * T(1.0 / kFarFrom), T(1.0));
  return max_(shortest, t * cone) * far_factor;
}

// Trilinear weights of the eight corners of a cell, corner c at offset (c & 1, c >> 1 & 1, c >> 2),
// from the position inside it.
template <class T> RECON_FN void corner_weights(const T f[3], T w[8]) {
  const T one(1.0);
  const T x[2] = {one - f[0], f[0]}, y[2] = {one - f[1], f[1]}, z[2] = {one - f[2], f[2]};
  for (int c = 0; c < 8; ++c)
    w[c] = x[c & 1] * (y[c >> 1 & 1] * z[c >> 2]);
}

// Entries of the eight corners of the cell at `cell`, for unsigned integers U (a word or lanes of
// them). Levels that fit the table are dense, with `side` vertices a side; others are hashed to
// mask + 1 entries.
template <class U>
RECON_FN void corner_entries(const U cell[3], bool dense, uint32_t side, uint32_t mask,
                             U entry[8]) {
  if (dense) {
    const U base = cell[0] + (cell[1] + cell[2] * side) * side;
    for (uint32_t c = 0; c < 8; ++c)
      entry[c] = base + ((c & 1) + ((c >> 1 & 1) + (c >> 2) * side) * side);
  } else {
    constexpr uint32_t kPrimeY = 2654435761u, kPrimeZ = 805459861u;
    const U hx[2] = {cell[0], cell[0] + 1u};
    const U y = cell[1] * kPrimeY, z = cell[2] * kPrimeZ;
    const U hy[2] = {y, y + kPrimeY}, hz[2] = {z, z + kPrimeZ};
    for (int c = 0; c < 8; ++c)
      entry[c] = (hx[c & 1] ^ hy[c >> 1 & 1] ^ hz[c >> 2]) & mask;
  }
}

// The density's exponent stays within this, in the value above and in the derivative on both sides.
constexpr double kMaxExponent = 15.0;

template <class T> RECON_FN T density_activation(T raw) { return exp_(min_(raw, T(kMaxExponent))); }
// d(density)/d(raw), clamped: never 0, so that a density that ran away can come back.
template <class T> RECON_FN T density_slope(T raw) {
  return exp_(min_(max_(raw, T(-kMaxExponent)), T(kMaxExponent)));
}
template <class T> RECON_FN T opacity_of(T density, T length) {
  return T(1.0) - exp_(T(0.0) - density * length);
}
template <class T> RECON_FN T sigmoid(T x) { return T(1.0) / (T(1.0) + exp_(T(0.0) - x)); }

// Blends a sample of this opacity over what lies behind it, and moves the ray's transmittance on.
// Returns the blending weight: 0 behind the end of the ray.
RECON_FN float blend(float opacity, float min_transmittance, float &transmittance) {
  const float weight = transmittance >= min_transmittance ? transmittance * opacity : 0.0f;
  transmittance = transmittance - weight;
  return weight;
}

// The distortion of a ray (Barron et al., "Mip-NeRF 360", 2022, eq. 15): how far apart those of its
// samples lie that count. Distances s = t / (1 + t) go from 0 to 1, as they do in that paper.
struct Distortion {
  float scale;                                      // of the loss
  float weight = 0.0f, moment = 0.0f;               // sums of w and w s over the ray
  float weight_behind = 0.0f, moment_behind = 0.0f; // and over what lies behind a sample

  RECON_FN static float place(float t) { return t / (1.0f + t); }

  RECON_FN void add(float w, float t) {
    weight += w;
    moment += w * place(t);
  }

  // From the last sample to the first, after all were added: the gradient in the sample's weight.
  // `loss` grows by its share.
  RECON_FN float weight_vjp(float w, float t, float dt, float &loss) {
    const float s = place(t), length = dt / ((1.0f + t) * (1.0f + t));
    const float apart_behind = moment_behind - s * weight_behind;
    const float weight_before = weight - weight_behind - w;
    const float moment_before = moment - moment_behind - w * s;
    weight_behind += w;
    moment_behind += w * s;
    loss += scale * w * (2.0f * apart_behind + w * length * (1.0f / 3.0f));
    return scale * 2.0f *
           (apart_behind + s * weight_before - moment_before + w * length * (1.0f / 3.0f));
  }
};

// The derivative of `blend` and of the network's last activation, for samples that count, from the
// last one of a ray to the first: `grad` (3) is the gradient in the ray's sum of colours,
// `d_weight` another one in the blending weight, `behind` holds the gradient's sum over all that
// lies behind. Gives the gradient in the colour before the sigmoid; returns the one in the density.
RECON_FN float blend_vjp(const float rgb[3], const float grad[3], float d_weight, float weight,
                         float after, float dt, float &behind, float d_out[3]) {
  float along = d_weight;
  for (int k = 0; k < 3; ++k) {
    along += grad[k] * rgb[k];
    d_out[k] = weight * grad[k] * rgb[k] * (1.0f - rgb[k]);
  }
  const float d_density = dt * (after * along - behind);
  behind += weight * along;
  return d_density;
}

// Huber loss, quadratic up to `delta`, and its derivative.
template <class T> RECON_FN T huber(T d, T delta) {
  const T size = max_(d, T(0.0) - d);
  return select(size < delta, T(0.5) * d * d, delta * (size - T(0.5) * delta));
}
template <class T> RECON_FN T huber_slope(T d, T delta) {
  return min_(max_(d, T(0.0) - delta), delta);
}

// Adam (Kingma and Ba 2015): moves the moments on and returns by how much the parameter falls.
// `rate` holds the corrections of both moments' bias. T: a number or lanes of them.
template <class T>
RECON_FN T adam_step(T g, float rate, float beta1, float beta2, float epsilon, T &first,
                     T &second) {
  first = beta1 * first + (1.0f - beta1) * g;
  second = beta2 * second + (1.0f - beta2) * g * g;
  return rate * first / (sqrt_(second) + epsilon);
}

RECON_END
