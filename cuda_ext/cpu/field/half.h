// Four numbers in half precision, stored as 16-bit patterns. Finite numbers only.
#pragma once

#include "cpu/simd.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

RECON_BEGIN

typedef uint32_t vu8 __attribute__((vector_size(32)));
typedef uint32_t vu4 __attribute__((vector_size(16)));
typedef uint16_t vh4 __attribute__((vector_size(8)));

RECON_FN vf4 load_half4(const uint16_t *p) {
#if defined(__F16C__)
  return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p)));
#else
  vh4 h;
  std::memcpy(&h, p, sizeof(h));
  const vu4 w = __builtin_convertvector(h, vu4);
  // The exponent moves into place by a product, which is exact for denormals too.
  const vf4 magnitude = (vf4)((w & 0x7fffu) << 13) * 0x1p112f;
  return (vf4)((vu4)magnitude | ((w & 0x8000u) << 16));
#endif
}

// Rounds to nearest, ties to even; magnitudes are limited to the largest half.
RECON_FN void store_half4(vf4 x, uint16_t *p) {
  const vf4 limit = {65504.0f, 65504.0f, 65504.0f, 65504.0f};
  x = x > limit ? limit : x;
  x = x < -limit ? -limit : x;
#if defined(__F16C__)
  _mm_storel_epi64(reinterpret_cast<__m128i *>(p), _mm_cvtps_ph(x, 0));
#else
  const vu4 bits = (vu4)x;
  const vu4 magnitude = bits & 0x7fffffffu;
  // Below the smallest normal half, adding 1/2 lets the adder round to multiples of 2^-24.
  const vu4 small = (vu4)((vf4)magnitude + 0.5f) - 0x3f000000u;
  const vu4 normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const vu4 is_small = (vu4)(magnitude < 0x38800000u);
  const vu4 h = (is_small & small) | (~is_small & normal) | (bits >> 16 & 0x8000u);
  const vh4 out = __builtin_convertvector(h, vh4);
  std::memcpy(p, &out, sizeof(out));
#endif
}

RECON_END
