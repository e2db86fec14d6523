// Real spherical harmonics to degree 3 in the sign convention of the 3DGS files, and derivatives.
//
// Basis as in Sloan, "Efficient Spherical Harmonic Evaluation", 2013; Kerbl et al. 2023.
#pragma once

#include "recon/math/scalar.h"

RECON_BEGIN

constexpr double kSh0 = 0.28209479177387814;
constexpr double kSh1 = 0.4886025119029199;
// Scalars, not arrays: device code may use the value of a constant, not the address of an array.
constexpr double kSh2a = 1.0925484305920792; // xy, -yz, -xz
constexpr double kSh2b = 0.31539156525252005;
constexpr double kSh2c = 0.5462742152960396;
constexpr double kSh3a = 0.5900435899266435;
constexpr double kSh3b = 2.890611442640554;
constexpr double kSh3c = 0.4570457994644658;
constexpr double kSh3d = 0.3731763325901154;
constexpr double kSh3e = 1.445305721320277;

// Number of coefficients of a degree.
RECON_FN int sh_count(int degree) { return (degree + 1) * (degree + 1); }

// Y[0 .. sh_count(degree)) at the unit vector d.
template <class T> RECON_FN void sh_basis(int degree, const T d[3], T *y) {
  const T x = d[0], yy_ = d[1], z = d[2];
  y[0] = T(kSh0);
  if (degree < 1)
    return;
  y[1] = T(-kSh1) * yy_;
  y[2] = T(kSh1) * z;
  y[3] = T(-kSh1) * x;
  if (degree < 2)
    return;
  const T x2 = x * x, y2 = yy_ * yy_, z2 = z * z;
  y[4] = T(kSh2a) * x * yy_;
  y[5] = T(-kSh2a) * yy_ * z;
  y[6] = T(kSh2b) * (z2 + z2 - x2 - y2);
  y[7] = T(-kSh2a) * x * z;
  y[8] = T(kSh2c) * (x2 - y2);
  if (degree < 3)
    return;
  const T four_z2 = T(4.0) * z2;
  y[9] = T(-kSh3a) * yy_ * (T(3.0) * x2 - y2);
  y[10] = T(kSh3b) * x * yy_ * z;
  y[11] = T(-kSh3c) * yy_ * (four_z2 - x2 - y2);
  y[12] = T(kSh3d) * z * (z2 + z2 - T(3.0) * (x2 + y2));
  y[13] = T(-kSh3c) * x * (four_z2 - x2 - y2);
  y[14] = T(kSh3e) * z * (x2 - y2);
  y[15] = T(-kSh3a) * x * (x2 - T(3.0) * y2);
}

// sum_k w[k] dY_k/dd: the gradient of a weighted sum of the basis in the three components of d.
template <class T> RECON_FN void sh_basis_vjp(int degree, const T d[3], const T *w, T out[3]) {
  const T x = d[0], y = d[1], z = d[2], zero(0.0);
  out[0] = out[1] = out[2] = zero;
  if (degree < 1)
    return;
  out[0] = T(-kSh1) * w[3];
  out[1] = T(-kSh1) * w[1];
  out[2] = T(kSh1) * w[2];
  if (degree < 2)
    return;
  const T two(2.0);
  const T w4 = T(kSh2a) * w[4], w5 = T(-kSh2a) * w[5], w6 = T(2.0 * kSh2b) * w[6];
  const T w7 = T(-kSh2a) * w[7], w8 = T(2.0 * kSh2c) * w[8];
  out[0] = out[0] + w4 * y - w6 * x + w7 * z + w8 * x;
  out[1] = out[1] + w4 * x + w5 * z - w6 * y - w8 * y;
  out[2] = out[2] + w5 * y + two * w6 * z + w7 * x;
  if (degree < 3)
    return;
  const T x2 = x * x, y2 = y * y, z2 = z * z, three(3.0), six(6.0), eight(8.0);
  const T w9 = T(-kSh3a) * w[9], w10 = T(kSh3b) * w[10], w11 = T(-kSh3c) * w[11];
  const T w12 = T(kSh3d) * w[12], w13 = T(-kSh3c) * w[13], w14 = T(kSh3e) * w[14];
  const T w15 = T(-kSh3a) * w[15];
  const T four_z2 = T(4.0) * z2;
  out[0] = out[0] + w9 * six * x * y + w10 * y * z - w11 * two * x * y - w12 * six * x * z +
           w13 * (four_z2 - three * x2 - y2) + w14 * two * x * z + w15 * three * (x2 - y2);
  out[1] = out[1] + w9 * three * (x2 - y2) + w10 * x * z + w11 * (four_z2 - x2 - three * y2) -
           w12 * six * y * z - w13 * two * x * y - w14 * two * y * z - w15 * six * x * y;
  out[2] = out[2] + w10 * x * y + w11 * eight * y * z + w12 * (six * z2 - three * (x2 + y2)) +
           w13 * eight * x * z + w14 * (x2 - y2);
}

// Direction from the camera centre to the mean, and 1 / distance.
template <class T, class S> RECON_FN T view_direction(const T mean[3], const S centre[3], T d[3]) {
  const T v[3] = {mean[0] - T(centre[0]), mean[1] - T(centre[1]), mean[2] - T(centre[2])};
  const T inv = T(1.0) / sqrt_(max_(v[0] * v[0] + v[1] * v[1] + v[2] * v[2], T(1e-24)));
  for (int i = 0; i < 3; ++i)
    d[i] = v[i] * inv;
  return inv;
}

// d(loss)/d(mean) from d(loss)/d(direction).
template <class T> RECON_FN void view_direction_vjp(const T d[3], T inv, const T g[3], T out[3]) {
  const T along = d[0] * g[0] + d[1] * g[1] + d[2] * g[2];
  for (int i = 0; i < 3; ++i)
    out[i] = (g[i] - along * d[i]) * inv;
}

RECON_END
