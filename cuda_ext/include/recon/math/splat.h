// A projected splat as rasterisers use it, and the way back from its sums over pixels.
//
// At an offset (dx, dy) from the mean, log2(alpha) = log2_opacity + a dx^2 + b dx dy + c dy^2. A
// splat counts where alpha >= kAlphaMin: inside an ellipse, of which the shape below is kept.
#pragma once

#include "recon/math/projection.h"
#include "recon/math/sh.h"

RECON_BEGIN

constexpr float kLog2AlphaMin = -7.994353436858858f; // log2(1 / 255)
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kSpanSlack = 0.02f; // pixels by which spans are widened against rounding

// The exponent's coefficients and the ellipse alpha >= kAlphaMin.
template <class T> struct Ellipse {
  T a, b, c;
  T log2_opacity;
  T margin; // log2(opacity / kAlphaMin); negative: it counts nowhere
  T hx, hy; // half extents
  T inv_hy;
  T shear;      // x of the ellipse's middle moves by `shear` a unit of y
  T half_width; // half its width at dy = 0
  T dy_right;   // dy of its rightmost point
};

template <class T> RECON_FN Ellipse<T> ellipse(const Footprint<T> &f) {
  Ellipse<T> e;
  e.a = f.conic[0] * T(-0.5f * kLog2E);
  e.b = f.conic[1] * T(-kLog2E);
  e.c = f.conic[2] * T(-0.5f * kLog2E);
  e.log2_opacity = log_(max_(f.opacity, T(1e-20f))) * T(kLog2E);
  e.margin = e.log2_opacity - T(kLog2AlphaMin);
  const T cut = max_(e.margin, T(0.0f)) * T(2.0f / kLog2E); // bound of the quadratic form
  e.hx = sqrt_(cut * f.cov[0]);
  e.hy = sqrt_(cut * f.cov[2]);
  e.inv_hy = T(1.0f) / e.hy;
  e.shear = f.cov[1] / f.cov[2];
  e.half_width = sqrt_(cut / f.conic[0]);
  e.dy_right = e.hx * f.cov[1] / f.cov[0];
  return e;
}

// Whether all parameters of the footprint are finite: 0 * x is 0 only for a finite x. The clamps
// in exp_ and max_ would otherwise turn a NaN into a number.
template <class T> RECON_FN auto all_finite(const Gaussian<T> &g) {
  T total = g.logit_opacity;
  for (int i = 0; i < 3; ++i)
    total = total + g.mean[i] + g.log_scale[i];
  for (int i = 0; i < 4; ++i)
    total = total + g.quat[i];
  return total * T(0.0f) >= T(0.0f);
}

// Whether a splat can reach the centre of any pixel of the image.
template <class T, class S>
RECON_FN auto on_image(const Gaussian<T> &g, const Footprint<T> &f, const Ellipse<T> &e,
                       const PinholeT<S> &cam) {
  const T half(0.5f);
  return (f.depth > T(static_cast<float>(kNear))) & (e.margin >= T(0.0f)) &
         (f.mean[0] + e.hx >= half) & (f.mean[0] - e.hx <= T(cam.width) - half) &
         (f.mean[1] + e.hy >= half) & (f.mean[1] - e.hy <= T(cam.height) - half) &
         (f.conic[0] > T(0.0f)) & (f.conic[2] > T(0.0f)) & all_finite(g);
}

// The range of x, relative to the mean, that an ellipse covers in the band of dy from lo to hi
// (cut to the ellipse; lo <= hi). Its right edge is concave in dy: the maximum is at the rightmost
// point or at the nearer end.
template <class T>
RECON_FN void ellipse_span(T hy, T inv_hy, T shear, T half_width, T dy_right, T lo, T hi, T &left,
                           T &right) {
  const T zero(0.0f), one(1.0f);
  lo = max_(lo, zero - hy);
  hi = min_(hi, hy);
  const T at_right = min_(max_(dy_right, lo), hi);
  const T at_left = min_(max_(zero - dy_right, lo), hi);
  const T zr = at_right * inv_hy, zl = at_left * inv_hy;
  right = shear * at_right + half_width * sqrt_(max_(one - zr * zr, zero));
  left = shear * at_left - half_width * sqrt_(max_(one - zl * zl, zero));
}

// Sums over pixels, for one splat, of v = dL/d(alpha) alpha times 1, dx, dy, dx^2, dx dy, dy^2, and
// of the blending weight times the gradients of colour and depth, and the error. The last is
// unused: twelve make three vectors of four.
constexpr int kSums = 12;
enum Sum { kS, kSx, kSy, kSxx, kSxy, kSyy, kSr, kSg, kSb, kSz, kSerror };

// d(loss)/d(Footprint) from the sums.
template <class T> RECON_FN Footprint<T> footprint_gradient(const Footprint<T> &f, const T *s) {
  Footprint<T> df;
  df.mean[0] = f.conic[0] * s[kSx] + f.conic[1] * s[kSy];
  df.mean[1] = f.conic[1] * s[kSx] + f.conic[2] * s[kSy];
  df.conic[0] = T(-0.5f) * s[kSxx];
  df.conic[1] = T(0.0f) - s[kSxy];
  df.conic[2] = T(-0.5f) * s[kSyy];
  df.opacity = s[kS] / f.opacity;
  df.depth = s[kSz];
  for (int i = 0; i < 3; ++i)
    df.cov[i] = T(0.0f);
  return df;
}

// d(loss)/d(alpha) alpha of one layer at one pixel: w its weight, s its colour times the gradient
// of colour, rest that of all that lies behind it. From L = sum_j w_j s_j, front to back:
// dL/d(alpha_i) = T_i s_i - rest_i / (1 - alpha_i).
template <class T> RECON_FN T layer_gradient(T w, T s, T rest, T alpha) {
  return w * s - rest * alpha / (T(1.0f) - alpha);
}

// One parameter of Adam (Kingma and Ba 2015, algorithm 1); corrections are 1 / (1 - beta^t).
template <class T> struct AdamScalars {
  T beta1, beta2, rest1, rest2, correction1, correction2, epsilon;
};

template <class T>
RECON_FN void adam_update(const AdamScalars<T> &a, T rate, T g, T &p, T &m, T &v) {
  m = a.beta1 * m + a.rest1 * g;
  v = a.beta2 * v + a.rest2 * g * g;
  p = p - rate * (m * a.correction1) / (sqrt_(v * a.correction2) + a.epsilon);
}

RECON_END
