// Eight float lanes on GCC/Clang vector extensions: one source for every instruction set.
//
// On AVX2 a value is one register; with less the compiler splits it. Intrinsics were measured
// 10-20 % faster in single loops, not worth one source for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "recon/math/scalar.h"

RECON_BEGIN

constexpr int kLanes = 8;
typedef float vf8 __attribute__((vector_size(32)));
typedef int32_t vi8 __attribute__((vector_size(32)));
typedef float vf8u __attribute__((vector_size(32), aligned(4)));
typedef float vf4u __attribute__((vector_size(16), aligned(4)));
typedef float vf4 __attribute__((vector_size(16)));

struct M8 {
  vi8 v;
};

struct F8 {
  vf8 v;
  F8() = default;
  RECON_FN F8(vf8 x) : v(x) {}
  RECON_FN F8(float x) : v(vf8{x, x, x, x, x, x, x, x}) {}
  RECON_FN F8(double x) : F8(static_cast<float>(x)) {}
  RECON_FN static F8 load(const float *p) { return F8(*reinterpret_cast<const vf8 *>(p)); }
  RECON_FN static F8 loadu(const float *p) {
    return F8(static_cast<vf8>(*reinterpret_cast<const vf8u *>(p)));
  }
  RECON_FN void store(float *p) const { *reinterpret_cast<vf8 *>(p) = v; }
  RECON_FN void storeu(float *p) const { *reinterpret_cast<vf8u *>(p) = v; }
};

RECON_FN F8 operator+(F8 a, F8 b) { return a.v + b.v; }
RECON_FN F8 operator-(F8 a, F8 b) { return a.v - b.v; }
RECON_FN F8 operator-(F8 a) { return -a.v; }
RECON_FN F8 operator*(F8 a, F8 b) { return a.v * b.v; }
RECON_FN F8 operator/(F8 a, F8 b) { return a.v / b.v; }
RECON_FN F8 &operator+=(F8 &a, F8 b) {
  a.v += b.v;
  return a;
}
RECON_FN M8 operator<(F8 a, F8 b) { return {a.v < b.v}; }
RECON_FN M8 operator>(F8 a, F8 b) { return {a.v > b.v}; }
RECON_FN M8 operator<=(F8 a, F8 b) { return {a.v <= b.v}; }
RECON_FN M8 operator>=(F8 a, F8 b) { return {a.v >= b.v}; }
RECON_FN M8 operator&(M8 a, M8 b) { return {a.v & b.v}; }
RECON_FN M8 operator|(M8 a, M8 b) { return {a.v | b.v}; }

RECON_FN F8 select(M8 m, F8 a, F8 b) { return m.v ? a.v : b.v; }
// `a` where the mask is set, 0 elsewhere, whatever `a` holds there (infinities, NaN).
RECON_FN F8 mask(M8 m, F8 a) { return (vf8)((vi8)a.v & m.v); }
// The compiler does not turn the comparison into the one instruction it equals (NaN rules).
#if defined(__AVX__)
template <> RECON_FN F8 max_<F8>(F8 a, F8 b) { return __builtin_ia32_maxps256(a.v, b.v); }
template <> RECON_FN F8 min_<F8>(F8 a, F8 b) { return __builtin_ia32_minps256(a.v, b.v); }
#else
template <> RECON_FN F8 max_<F8>(F8 a, F8 b) { return a.v > b.v ? a.v : b.v; }
template <> RECON_FN F8 min_<F8>(F8 a, F8 b) { return a.v < b.v ? a.v : b.v; }
#endif

RECON_FN F8 sqrt_(F8 a) {
  vf8 r;
  for (int i = 0; i < kLanes; ++i)
    r[i] = __builtin_sqrtf(a.v[i]);
  return r;
}

RECON_FN vf4 sqrt_(vf4 a) {
  vf4 r;
  for (int i = 0; i < 4; ++i)
    r[i] = __builtin_sqrtf(a[i]);
  return r;
}

RECON_FN F8 swap_halves(F8 a) {
  return F8(__builtin_shufflevector(a.v, a.v, 4, 5, 6, 7, 0, 1, 2, 3));
}

// At least the square root of a positive number, by at most 1e-3 of it; 0 or less gives about 0.
RECON_FN F8 sqrt_above(F8 a) {
#if defined(__AVX__)
  const F8 x = max_(a, F8(1e-20f));
  return x * F8(1.0005f) * F8((vf8)__builtin_ia32_rsqrtps256(x.v)); // relative error 3.7e-4
#else
  return sqrt_(max_(a, F8(0.0f)));
#endif
}

// One bit a lane.
RECON_FN uint32_t bits(M8 m) {
#if defined(__AVX__)
  return static_cast<uint32_t>(__builtin_ia32_movmskps256((vf8)m.v));
#else
  uint32_t out = 0;
  for (int i = 0; i < kLanes; ++i)
    out |= (m.v[i] & 1) << i;
  return out;
#endif
}

RECON_FN bool any(M8 m) { return bits(m) != 0; }

RECON_FN float sum(F8 a) {
  const vf4 lo = __builtin_shufflevector(a.v, a.v, 0, 1, 2, 3);
  const vf4 hi = __builtin_shufflevector(a.v, a.v, 4, 5, 6, 7);
  const vf4 s = lo + hi;
  return (s[0] + s[2]) + (s[1] + s[3]);
}

// The sums of eight vectors as one vector.
RECON_FN F8 sum8(const F8 a[8]) {
  vf8 p[4];
  for (int i = 0; i < 4; ++i) {
    const vf8 x = a[2 * i].v, y = a[2 * i + 1].v;
    p[i] = __builtin_shufflevector(x, y, 0, 2, 8, 10, 4, 6, 12, 14) +
           __builtin_shufflevector(x, y, 1, 3, 9, 11, 5, 7, 13, 15);
  }
  vf8 q[2];
  for (int i = 0; i < 2; ++i)
    q[i] = __builtin_shufflevector(p[2 * i], p[2 * i + 1], 0, 2, 8, 10, 4, 6, 12, 14) +
           __builtin_shufflevector(p[2 * i], p[2 * i + 1], 1, 3, 9, 11, 5, 7, 13, 15);
  return __builtin_shufflevector(q[0], q[1], 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(q[0], q[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

// The sums of four vectors.
RECON_FN vf4 sum4(const F8 a[4]) {
  vf4 h[4];
  for (int i = 0; i < 4; ++i)
    h[i] = __builtin_shufflevector(a[i].v, a[i].v, 0, 1, 2, 3) +
           __builtin_shufflevector(a[i].v, a[i].v, 4, 5, 6, 7);
  const vf4 p = __builtin_shufflevector(h[0], h[1], 0, 2, 4, 6) +
                __builtin_shufflevector(h[0], h[1], 1, 3, 5, 7);
  const vf4 q = __builtin_shufflevector(h[2], h[3], 0, 2, 4, 6) +
                __builtin_shufflevector(h[2], h[3], 1, 3, 5, 7);
  return __builtin_shufflevector(p, q, 0, 2, 4, 6) + __builtin_shufflevector(p, q, 1, 3, 5, 7);
}

constexpr float kRoundMagic = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer

// 2^x for x in [-126, 126], relative error 4e-6 (degree 4, minimax on [-1/2, 1/2]).
RECON_FN F8 exp2_fast(F8 x) {
  const vf8 z = x.v + kRoundMagic;
  const vf8 f = x.v - (z - kRoundMagic);
  vf8 p = f * 0.009570101878f + 0.05591786178f;
  p = p * f + 0.2402474484f;
  p = p * f + 0.6931218146f;
  p = p * f + 0.9999992614f;
  return (vf8)((vi8)p + ((vi8)z << 23));
}

// e^x, relative error 2e-7 for |x| < 87; clamped beyond.
RECON_FN F8 exp_(F8 x) {
  F8 y = min_(max_(x, F8(-87.0f)), F8(87.0f));
  const vf8 t = y.v * 1.44269504088896341f;
  const vf8 z = t + kRoundMagic;
  const vf8 n = z - kRoundMagic;
  // Cody-Waite: ln 2 in two parts keeps the reduced argument exact.
  vf8 f = y.v - n * 0.693359375f;
  f = f + n * 2.12194440e-4f;
  vf8 p = f * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  return (vf8)((vi8)p + ((vi8)z << 23));
}

// Natural logarithm of a positive normal number, absolute error 2e-7 relative to max(1, |ln x|).
RECON_FN F8 log_(F8 x) {
  const vi8 ix = (vi8)x.v;
  // Split so that the mantissa lies in [sqrt(1/2), sqrt(2)).
  const vi8 e = (ix - 0x3f3504f3) >> 23;
  const vf8 m = (vf8)(ix - (e << 23)) - 1.0f;
  vf8 p = m * 7.0376836292e-2f + -1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m + -1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m + -1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m + -2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const vf8 m2 = m * m;
  const vf8 ef = __builtin_convertvector(e, vf8);
  return ef * 0.693147180559945f + (m + (p * m * m2 - 0.5f * m2));
}

RECON_END
