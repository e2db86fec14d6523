// Projection of one Gaussian to the image plane, and its derivative by hand.
//
// EWA splatting: Zwicker et al., "EWA Splatting", 2002, eq. 26-31; Kerbl et al., "3D Gaussian
// Splatting", 2023, section 4 and appendix A. Opacity compensation: Yu et al., "Mip-Splatting",
// 2024, eq. 9. recon/kernels/ops.py states the semantics in words.
#pragma once

#include "recon/math/scalar.h"

RECON_BEGIN

constexpr double kNear = 0.01;
constexpr double kBlur = 0.3;
constexpr double kClampFov = 0.15;
constexpr double kCompensationFloor = 2.5e-5;
constexpr double kAlphaMin = 1.0 / 255.0;
constexpr double kAlphaMax = 0.999;
constexpr double kTransmittanceMin = 2e-3;

// Pinhole camera in pixels; cam_from_world is (rotation row-major, translation).
template <class S> struct PinholeT {
  S fx, fy, cx, cy;
  S rotation[9];
  S translation[3];
  S width, height;
};

// The camera of an engine's view: a struct with size, focal lengths, principal point and pose.
template <class View> RECON_FN PinholeT<float> pinhole_of(const View &view) {
  PinholeT<float> p;
  p.fx = view.fx;
  p.fy = view.fy;
  p.cx = view.cx;
  p.cy = view.cy;
  for (int i = 0; i < 9; ++i)
    p.rotation[i] = view.rotation[i];
  for (int i = 0; i < 3; ++i)
    p.translation[i] = view.translation[i];
  p.width = static_cast<float>(view.width);
  p.height = static_cast<float>(view.height);
  return p;
}

// The parameters of a splat that its footprint depends on.
template <class T> struct Gaussian {
  T mean[3];
  T quat[4]; // wxyz, any length > 0
  T log_scale[3];
  T logit_opacity;
};

// The footprint: mean in pixels, inverse 2D covariance (xx, xy, yy), opacity, depth.
template <class T> struct Footprint {
  T mean[2];
  T conic[3];
  T opacity;
  T depth;
  T cov[3]; // 2D covariance with blur (xx, xy, yy): for extents, not differentiated
};

// What forward and backward have in common.
template <class T> struct ProjectionState {
  T p[3];          // mean in camera space
  T inv_z;         // 1 / p.z, p.z held at kNear at least
  T u, v;          // p.x / p.z, p.y / p.z
  T cu, cv;        // the same, clamped to the widened field of view
  T quat[4];       // normalised
  T inv_quat_norm; // 1 / |quat|
  T rot[9];        // rotation of the splat, row-major
  T scale[3];
  T jr[6];                  // J R, 2x3
  T vv[6];                  // J R rot, 2x3
  T bb[6];                  // J R rot diag(scale), 2x3
  T cov_xx, cov_xy, cov_yy; // without blur
  T det0, det;              // determinants without and with blur
  T sigmoid;
  T compensation; // 1 without anti-aliasing
};

template <class T> RECON_FN void rotation_from_quat(const T q[4], T r[9]) {
  const T one(1.0), two(2.0);
  r[0] = one - two * (q[2] * q[2] + q[3] * q[3]);
  r[1] = two * (q[1] * q[2] - q[0] * q[3]);
  r[2] = two * (q[1] * q[3] + q[0] * q[2]);
  r[3] = two * (q[1] * q[2] + q[0] * q[3]);
  r[4] = one - two * (q[1] * q[1] + q[3] * q[3]);
  r[5] = two * (q[2] * q[3] - q[0] * q[1]);
  r[6] = two * (q[1] * q[3] - q[0] * q[2]);
  r[7] = two * (q[2] * q[3] + q[0] * q[1]);
  r[8] = one - two * (q[1] * q[1] + q[2] * q[2]);
}

// d(loss)/d(unit quaternion) from d(loss)/d(rotation matrix).
template <class T> RECON_FN void rotation_from_quat_vjp(const T q[4], const T g[9], T dq[4]) {
  const T two(2.0), four(4.0);
  dq[0] = two * (q[3] * (g[3] - g[1]) + q[2] * (g[2] - g[6]) + q[1] * (g[7] - g[5]));
  dq[1] = two * (q[2] * (g[1] + g[3]) + q[3] * (g[2] + g[6]) + q[0] * (g[7] - g[5])) -
          four * q[1] * (g[4] + g[8]);
  dq[2] = two * (q[1] * (g[1] + g[3]) + q[0] * (g[2] - g[6]) + q[3] * (g[5] + g[7])) -
          four * q[2] * (g[0] + g[8]);
  dq[3] = two * (q[1] * (g[2] + g[6]) + q[2] * (g[5] + g[7]) + q[0] * (g[3] - g[1])) -
          four * q[3] * (g[0] + g[4]);
}

template <class T, class S>
RECON_FN ProjectionState<T> projection_state(const Gaussian<T> &g, const PinholeT<S> &cam,
                                             bool antialias) {
  ProjectionState<T> s;
  const T one(1.0), blur(kBlur);
  for (int i = 0; i < 3; ++i)
    s.p[i] = T(cam.rotation[3 * i]) * g.mean[0] + T(cam.rotation[3 * i + 1]) * g.mean[1] +
             T(cam.rotation[3 * i + 2]) * g.mean[2] + T(cam.translation[i]);
  // Splats nearer than kNear are culled by the caller; the bound keeps their lanes finite.
  s.inv_z = one / max_(s.p[2], T(kNear));
  s.u = s.p[0] * s.inv_z;
  s.v = s.p[1] * s.inv_z;
  const S wide(kClampFov);
  const T u_lo((-wide * cam.width - cam.cx) / cam.fx);
  const T u_hi(((S(1) + wide) * cam.width - cam.cx) / cam.fx);
  const T v_lo((-wide * cam.height - cam.cy) / cam.fy);
  const T v_hi(((S(1) + wide) * cam.height - cam.cy) / cam.fy);
  s.cu = min_(max_(s.u, u_lo), u_hi);
  s.cv = min_(max_(s.v, v_lo), v_hi);

  const T norm2 =
      g.quat[0] * g.quat[0] + g.quat[1] * g.quat[1] + g.quat[2] * g.quat[2] + g.quat[3] * g.quat[3];
  s.inv_quat_norm = one / sqrt_(max_(norm2, T(1e-24)));
  for (int i = 0; i < 4; ++i)
    s.quat[i] = g.quat[i] * s.inv_quat_norm;
  rotation_from_quat(s.quat, s.rot);
  for (int i = 0; i < 3; ++i)
    s.scale[i] = exp_(g.log_scale[i]);

  const T j00 = T(cam.fx) * s.inv_z, j02 = T(0.0) - T(cam.fx) * s.cu * s.inv_z;
  const T j11 = T(cam.fy) * s.inv_z, j12 = T(0.0) - T(cam.fy) * s.cv * s.inv_z;
  for (int k = 0; k < 3; ++k) {
    s.jr[k] = j00 * T(cam.rotation[k]) + j02 * T(cam.rotation[6 + k]);
    s.jr[3 + k] = j11 * T(cam.rotation[3 + k]) + j12 * T(cam.rotation[6 + k]);
  }
  for (int r = 0; r < 2; ++r)
    for (int k = 0; k < 3; ++k) {
      s.vv[3 * r + k] =
          s.jr[3 * r] * s.rot[k] + s.jr[3 * r + 1] * s.rot[3 + k] + s.jr[3 * r + 2] * s.rot[6 + k];
      s.bb[3 * r + k] = s.vv[3 * r + k] * s.scale[k];
    }
  const T *b = s.bb;
  s.cov_xx = b[0] * b[0] + b[1] * b[1] + b[2] * b[2];
  s.cov_xy = b[0] * b[3] + b[1] * b[4] + b[2] * b[5];
  s.cov_yy = b[3] * b[3] + b[4] * b[4] + b[5] * b[5];
  // det(B B^T) as the sum of squared minors (Cauchy-Binet): no cancellation for thin splats.
  s.det0 = square(b[0] * b[4] - b[1] * b[3]) + square(b[0] * b[5] - b[2] * b[3]) +
           square(b[1] * b[5] - b[2] * b[4]);
  s.det = s.det0 + blur * (s.cov_xx + s.cov_yy) + blur * blur;
  s.sigmoid = one / (one + exp_(T(0.0) - g.logit_opacity));
  s.compensation = one;
  if (antialias)
    s.compensation = sqrt_(max_(s.det0 / s.det, T(kCompensationFloor)));
  return s;
}

template <class T, class S>
RECON_FN Footprint<T> footprint(const ProjectionState<T> &s, const PinholeT<S> &cam) {
  Footprint<T> f;
  const T inv_det = T(1.0) / s.det;
  f.mean[0] = T(cam.fx) * s.u + T(cam.cx);
  f.mean[1] = T(cam.fy) * s.v + T(cam.cy);
  f.cov[0] = s.cov_xx + T(kBlur);
  f.cov[1] = s.cov_xy;
  f.cov[2] = s.cov_yy + T(kBlur);
  f.conic[0] = f.cov[2] * inv_det;
  f.conic[1] = T(0.0) - f.cov[1] * inv_det;
  f.conic[2] = f.cov[0] * inv_det;
  f.opacity = s.sigmoid * s.compensation;
  f.depth = s.p[2];
  return f;
}

// d(loss)/d(Gaussian) from d(loss)/d(Footprint): `df.cov` is ignored.
template <class T, class S>
RECON_FN Gaussian<T> projection_vjp(const ProjectionState<T> &s, const PinholeT<S> &cam,
                                    bool antialias, const Footprint<T> &df) {
  Gaussian<T> out;
  const T zero(0.0), half(0.5), one(1.0), two(2.0), blur(kBlur);
  const T inv_det = one / s.det;
  const T yy = s.cov_yy + blur, xx = s.cov_xx + blur;
  const T a = yy * inv_det, b = zero - s.cov_xy * inv_det, c = xx * inv_det;

  // d(cov) = -C G C with G the symmetric gradient of the inverse C.
  const T ga = df.conic[0], gb = half * df.conic[1], gc = df.conic[2];
  const T t00 = ga * a + gb * b, t01 = ga * b + gb * c;
  const T t10 = gb * a + gc * b, t11 = gb * b + gc * c;
  T g_xx = zero - (a * t00 + b * t10);
  T g_xy = zero - (a * t01 + b * t11); // of one of the two equal off-diagonal entries
  T g_yy = zero - (b * t01 + c * t11);

  out.logit_opacity = df.opacity * s.compensation * s.sigmoid * (one - s.sigmoid);
  if (antialias) {
    // compensation^2 = det0 / det; both determinants are functions of the covariance.
    const T ratio = s.det0 * inv_det;
    const T g_ratio =
        select(ratio > T(kCompensationFloor), half * df.opacity * s.sigmoid / s.compensation, zero);
    const T g_det0 = g_ratio * inv_det;
    const T g_det = zero - g_ratio * ratio * inv_det;
    g_xx = g_xx + g_det0 * s.cov_yy + g_det * yy;
    g_yy = g_yy + g_det0 * s.cov_xx + g_det * xx;
    g_xy = g_xy - (g_det0 + g_det) * s.cov_xy;
  }

  T g_b[6], g_v[6];
  for (int k = 0; k < 3; ++k) {
    g_b[k] = two * (g_xx * s.bb[k] + g_xy * s.bb[3 + k]);
    g_b[3 + k] = two * (g_xy * s.bb[k] + g_yy * s.bb[3 + k]);
    out.log_scale[k] = g_b[k] * s.bb[k] + g_b[3 + k] * s.bb[3 + k];
    g_v[k] = g_b[k] * s.scale[k];
    g_v[3 + k] = g_b[3 + k] * s.scale[k];
  }

  T g_rot[9], g_quat[4];
  for (int i = 0; i < 3; ++i)
    for (int k = 0; k < 3; ++k)
      g_rot[3 * i + k] = s.jr[i] * g_v[k] + s.jr[3 + i] * g_v[3 + k];
  rotation_from_quat_vjp(s.quat, g_rot, g_quat);
  const T along =
      g_quat[0] * s.quat[0] + g_quat[1] * s.quat[1] + g_quat[2] * s.quat[2] + g_quat[3] * s.quat[3];
  for (int i = 0; i < 4; ++i)
    out.quat[i] = (g_quat[i] - along * s.quat[i]) * s.inv_quat_norm;

  // Through V = (J R) rot to the entries of J.
  T g_jr[6];
  for (int r = 0; r < 2; ++r)
    for (int i = 0; i < 3; ++i)
      g_jr[3 * r + i] = g_v[3 * r] * s.rot[3 * i] + g_v[3 * r + 1] * s.rot[3 * i + 1] +
                        g_v[3 * r + 2] * s.rot[3 * i + 2];
  const S *R = cam.rotation;
  const T g_j00 = g_jr[0] * T(R[0]) + g_jr[1] * T(R[1]) + g_jr[2] * T(R[2]);
  const T g_j02 = g_jr[0] * T(R[6]) + g_jr[1] * T(R[7]) + g_jr[2] * T(R[8]);
  const T g_j11 = g_jr[3] * T(R[3]) + g_jr[4] * T(R[4]) + g_jr[5] * T(R[5]);
  const T g_j12 = g_jr[3] * T(R[6]) + g_jr[4] * T(R[7]) + g_jr[5] * T(R[8]);
  const T fx(cam.fx), fy(cam.fy);
  T g_inv_z = fx * (g_j00 - s.cu * g_j02) + fy * (g_j11 - s.cv * g_j12);
  const T g_cu = zero - fx * s.inv_z * g_j02;
  const T g_cv = zero - fy * s.inv_z * g_j12;
  const T du = s.u - s.cu, dv = s.v - s.cv; // not zero where the clamp is active
  const T g_u = fx * df.mean[0] + select(du * du > zero, zero, g_cu);
  const T g_v_ = fy * df.mean[1] + select(dv * dv > zero, zero, g_cv);
  g_inv_z = g_inv_z + g_u * s.p[0] + g_v_ * s.p[1];
  const T g_p[3] = {g_u * s.inv_z, g_v_ * s.inv_z, df.depth - g_inv_z * s.inv_z * s.inv_z};
  for (int i = 0; i < 3; ++i)
    out.mean[i] = T(R[i]) * g_p[0] + T(R[3 + i]) * g_p[1] + T(R[6 + i]) * g_p[2];
  return out;
}

RECON_END
