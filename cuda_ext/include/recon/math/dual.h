// Forward-mode dual numbers: the exact derivative oracle for the hand-written derivatives.
#pragma once

#include "recon/math/scalar.h"

RECON_BEGIN

// A value and its K partial derivatives, in double precision.
template <int K> struct Dual {
  double v = 0.0;
  double d[K] = {};

  Dual() = default;
  Dual(double value) : v(value) {}

  static Dual variable(double value, int index) {
    Dual out(value);
    out.d[index] = 1.0;
    return out;
  }

  // The image of *this under a function with value `value` and derivative `slope` here.
  Dual chain(double value, double slope) const {
    Dual out(value);
    for (int k = 0; k < K; ++k)
      out.d[k] = slope * d[k];
    return out;
  }
};

template <int K> Dual<K> operator+(const Dual<K> &a, const Dual<K> &b) {
  Dual<K> out(a.v + b.v);
  for (int k = 0; k < K; ++k)
    out.d[k] = a.d[k] + b.d[k];
  return out;
}
template <int K> Dual<K> operator-(const Dual<K> &a, const Dual<K> &b) {
  Dual<K> out(a.v - b.v);
  for (int k = 0; k < K; ++k)
    out.d[k] = a.d[k] - b.d[k];
  return out;
}
template <int K> Dual<K> operator-(const Dual<K> &a) { return a.chain(-a.v, -1.0); }
template <int K> Dual<K> operator*(const Dual<K> &a, const Dual<K> &b) {
  Dual<K> out(a.v * b.v);
  for (int k = 0; k < K; ++k)
    out.d[k] = a.d[k] * b.v + a.v * b.d[k];
  return out;
}
template <int K> Dual<K> operator/(const Dual<K> &a, const Dual<K> &b) {
  Dual<K> out(a.v / b.v);
  for (int k = 0; k < K; ++k)
    out.d[k] = (a.d[k] - out.v * b.d[k]) / b.v;
  return out;
}
template <int K> bool operator<(const Dual<K> &a, const Dual<K> &b) { return a.v < b.v; }
template <int K> bool operator>(const Dual<K> &a, const Dual<K> &b) { return a.v > b.v; }

template <int K> Dual<K> select(bool m, const Dual<K> &a, const Dual<K> &b) { return m ? a : b; }
template <int K> Dual<K> sqrt_(const Dual<K> &a) {
  const double r = std::sqrt(a.v);
  return a.chain(r, 0.5 / r);
}
template <int K> Dual<K> exp_(const Dual<K> &a) {
  const double e = std::exp(a.v);
  return a.chain(e, e);
}
template <int K> Dual<K> log_(const Dual<K> &a) { return a.chain(std::log(a.v), 1.0 / a.v); }

RECON_END
