// Random numbers as a function of what they are for: no state, so that any thread may draw any of
// them, and a resumed training draws what it would have drawn.
#pragma once

#include <cstdint>

#include "recon/math/scalar.h"

RECON_BEGIN

// 32 well-mixed bits of three words: the finaliser of MurmurHash3 (Appleby 2011), chained.
RECON_FN uint32_t mix32(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}
RECON_FN uint32_t random_bits(uint32_t seed, uint32_t index, uint32_t what) {
  return mix32(mix32(mix32(seed + 0x9e3779b9u) + index) + 0x85157af5u * (what + 1u));
}

// Uniform in [0, 1), 24 bits.
RECON_FN float random_unit(uint32_t seed, uint32_t index, uint32_t what) {
  return static_cast<float>(random_bits(seed, index, what) >> 8) * 0x1p-24f;
}

RECON_END
