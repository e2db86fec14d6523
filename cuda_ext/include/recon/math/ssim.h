// SSIM at one pixel and its derivative in the blurred quantities that it is made of.
//
// Wang et al. 2004, 11x11 Gaussian window of sigma 1.5. With m the blur (a linear map, its own
// adjoint), m(x), m(y), p = m(x^2 + y^2) and q = m(x y) suffice.
#pragma once

#include "recon/math/scalar.h"

RECON_BEGIN

constexpr int kSsimRadius = 5, kSsimTaps = 2 * kSsimRadius + 1;
constexpr float kSsimC1 = 0.01f * 0.01f, kSsimC2 = 0.03f * 0.03f;

// exp(-d^2 / (2 * 1.5^2)), normalised over the 11 taps, for |d| = 0..5.
RECON_FN constexpr float ssim_tap(int d) {
  return d == 0   ? 0.26601171f
         : d == 1 ? 0.21300553f
         : d == 2 ? 0.10936069f
         : d == 3 ? 0.03600077f
         : d == 4 ? 0.00759876f
                  : 0.00102838f;
}

// SSIM and its partial derivatives in m(x), in p and in q.
template <class T> struct Ssim {
  T value, d_mean, d_p, d_q;
};

template <class T> RECON_FN Ssim<T> ssim(T m1, T m2, T p, T q) {
  const T one(1.0f), two(2.0f);
  const T m11 = m1 * m1, m22 = m2 * m2, m12 = m1 * m2;
  const T a = m12 + m12 + T(kSsimC1), d = m11 + m22 + T(kSsimC1);
  const T b = two * (q - m12) + T(kSsimC2), e = p - m11 - m22 + T(kSsimC2);
  const T inv = one / (d * e), inv_d = inv * e, inv_e = inv * d;
  Ssim<T> out;
  out.value = a * b * inv;
  out.d_mean = two * m2 * (b - a) * inv + two * m1 * out.value * (inv_e - inv_d);
  out.d_p = T(0.0f) - out.value * inv_e;
  out.d_q = two * a * inv;
  return out;
}

RECON_END
