// Tiles as rasterisation sees them: groups of pixels, batches of splats, alphas.
//
// A tile is 16 groups ("micros") of 4x4 pixels, two vectors each. For each splat of the tile's list
// the ellipse alpha >= kAlphaMin is intersected with the pixel rows in closed form; that yields one
// bit for each micro that it touches, and only those are visited. Micros whose pixels are all
// opaque drop out by the same bits. Cost follows the pixels inside ellipses, not the tiles touched.
//
// The list is taken in batches of 32 entries, whose bits are a matrix. Transposed, each micro walks
// through its splats with its pixels' state in registers: first a pass that leaves all alphas, then
// one that blends them. (In one pass the chain from the offset to the blended colour is so long
// that the processor's window holds too few visits to keep its units busy.) Backward leaves two
// vectors for each visit, which a walk the other way, splat by splat, sums up.
//
// Offsets in a tile are taken from its centre, where the exponent of a splat is a polynomial:
// its constant and linear terms are had once an entry, in double, and three multiply-adds a column
// of micros and two a vector are left. Sums over pixels are moments about the same centre, moved
// to the splat's mean once an entry.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

constexpr float kHalfTile = 0.5f * kTile;

// Pixel centres relative to the tile's centre, and their squares: x by column of micros, y by pair
// of rows.
struct MicroGrid {
  alignas(32) float x[4][kLanes];
  alignas(32) float xx[4][kLanes];
  alignas(32) float y[8][kLanes];
  alignas(32) float yy[8][kLanes];
  // For the bits: rows 4 r and 4 r + 1 (lower and upper half), columns 0 and 1, each four times.
  alignas(32) float row[kLanes];
  alignas(32) float column[kLanes];
};

constexpr MicroGrid make_grid() {
  MicroGrid g = {};
  for (int c = 0; c < 4; ++c)
    for (int l = 0; l < kLanes; ++l) {
      g.x[c][l] = 4.0f * c + (l & 3) + 0.5f - kHalfTile;
      g.xx[c][l] = g.x[c][l] * g.x[c][l];
    }
  for (int r = 0; r < 8; ++r)
    for (int l = 0; l < kLanes; ++l) {
      g.y[r][l] = 2.0f * r + (l >> 2) + 0.5f - kHalfTile;
      g.yy[r][l] = g.y[r][l] * g.y[r][l];
    }
  for (int l = 0; l < kLanes; ++l) {
    g.row[l] = 4.0f * (l & 3) + (l >> 2) + 0.5f - kHalfTile;
    g.column[l] = 4.0f * (l >> 2) + 0.5f - kHalfTile;
  }
  return g;
}
alignas(64) constexpr MicroGrid kGrid = make_grid();

// The micros that the ellipse of `r` touches, bit 4 * column + row; (mx, my) is its mean.
RECON_FN uint32_t touched_micros(const Record &r, float mx, float my) {
  const F8 inv_hy(r.inv_hy), half_width(r.half_width), shear(r.shear), never(1e30f);
  const F8 one(1.0f + 1e-3f), zero(0.0f);
  F8 dy = F8::load(kGrid.row) - F8(my), lo = never, hi = -never;
  for (int i = 0; i < 2; ++i) { // rows 0 and 1 of each micro, then 2 and 3
    const F8 z = dy * inv_hy, w = one - z * z;
    const F8 half = half_width * sqrt_above(w), mid = F8(mx) + shear * dy;
    const M8 on = w > zero;
    lo = min_(lo, select(on, mid - half, never));
    hi = max_(hi, select(on, mid + half, -never));
    dy = dy + F8(2.0f);
  }
  lo = min_(lo, swap_halves(lo)) - F8(kSpanSlack);
  hi = max_(hi, swap_halves(hi)) + F8(kSpanSlack);
  const F8 left = F8::load(kGrid.column), right = left + F8(3.0f), next(8.0f);
  return bits((lo <= right) & (hi >= left)) | bits((lo <= right + next) & (hi >= left + next))
                                                  << kLanes;
}

constexpr int kBatch = 32; // entries of a tile's list that are taken together

RECON_FN int batch_size(uint32_t left) { return left < kBatch ? static_cast<int>(left) : kBatch; }

// A splat relative to a tile's centre. The exponent of alpha at (x, y), to base 2, is
// xx x^2 + xy x y + yy y^2 + x x + y y + one.
struct alignas(64) Local {
  float xx, xy, yy, x, y, one;
  float color[3];
  float depth;
  float mx, my;
};

RECON_FN Local localise(const Record &r, float ox, float oy) {
  const float mx = r.mx - ox, my = r.my - oy;
  // Of a long splat whose mean is far off, the terms are far larger than their sum.
  const double ax = static_cast<double>(r.a) * mx, by = static_cast<double>(r.b) * my;
  const double cy = static_cast<double>(r.c) * my;
  return {r.a,
          r.b,
          r.c,
          static_cast<float>(-(2.0 * ax + by)),
          static_cast<float>(-(static_cast<double>(r.b) * mx + 2.0 * cy)),
          static_cast<float>((ax + by) * mx + cy * my + r.log2_opacity),
          {r.color[0], r.color[1], r.color[2]},
          r.depth,
          mx,
          my};
}

// Transposes a matrix of 32 x 32 bits: bit j of rows[i] becomes bit i of rows[j].
RECON_FN void transpose_bits(uint32_t *rows) {
  typedef uint32_t vu8 __attribute__((vector_size(32)));
  vu8 v[4];
  for (int i = 0; i < 4; ++i)
    v[i] = *reinterpret_cast<const vu8 *>(rows + 8 * i);
  // Blocks of 16 x 16, then 8 x 8, change places between vectors ...
  auto swap = [](vu8 &a, vu8 &b, int d, uint32_t low) {
    const vu8 t = ((a >> d) ^ b) & low;
    b ^= t;
    a ^= t << d;
  };
  swap(v[0], v[2], 16, 0x0000ffffu);
  swap(v[1], v[3], 16, 0x0000ffffu);
  swap(v[0], v[1], 8, 0x00ff00ffu);
  swap(v[2], v[3], 8, 0x00ff00ffu);
  // ... and the smaller ones within a vector: lanes trade with their partner at distance d, which
  // moves the partner's bits up (lanes without bit d) or down (lanes with it).
#define RECON_TRADE(d, low, ...)                                                                   \
  for (int i = 0; i < 4; ++i) {                                                                    \
    vu8 up, down, keep;                                                                            \
    for (uint32_t l = 0; l < 8; ++l) {                                                             \
      up[l] = l & d ? 0u : d;                                                                      \
      down[l] = l & d ? d : 0u;                                                                    \
      keep[l] = l & d ? ~low : low;                                                                \
    }                                                                                              \
    const vu8 partner = __builtin_shufflevector(v[i], v[i], __VA_ARGS__);                          \
    v[i] = (v[i] & keep) | (((partner << up) >> down) & ~keep);                                    \
  }
  RECON_TRADE(4u, 0x0f0f0f0fu, 4, 5, 6, 7, 0, 1, 2, 3)
  RECON_TRADE(2u, 0x33333333u, 2, 3, 0, 1, 6, 7, 4, 5)
  RECON_TRADE(1u, 0x55555555u, 1, 0, 3, 2, 5, 4, 7, 6)
#undef RECON_TRADE
  for (int i = 0; i < 4; ++i)
    *reinterpret_cast<vu8 *>(rows + 8 * i) = v[i];
}

// Half a micro (`pair` 0 or 1: which two rows) of a plane; `p` is the tile's upper left pixel.
RECON_FN const float *half_micro(const float *p, int64_t stride, int micro, int pair) {
  return p + ((micro & 3) * 4 + pair * 2) * stride + (micro >> 2) * 4;
}

RECON_FN F8 load_half(const float *p, int64_t stride, int micro, int pair) {
  const float *q = half_micro(p, stride, micro, pair);
  const vf4 lo = *reinterpret_cast<const vf4u *>(q);
  const vf4 hi = *reinterpret_cast<const vf4u *>(q + stride);
  return F8(__builtin_shufflevector(lo, hi, 0, 1, 2, 3, 4, 5, 6, 7));
}

RECON_FN void store_half(float *p, int64_t stride, int micro, int pair, F8 x) {
  float *q = const_cast<float *>(half_micro(p, stride, micro, pair));
  *reinterpret_cast<vf4u *>(q) = __builtin_shufflevector(x.v, x.v, 0, 1, 2, 3);
  *reinterpret_cast<vf4u *>(q + stride) = __builtin_shufflevector(x.v, x.v, 4, 5, 6, 7);
}

// The pixels of half a micro that lie in the image, not in its padding.
RECON_FN M8 inside(const Frame &frame, int tx, int ty, int micro, int pair) {
  const F8 x = F8::load(kGrid.x[micro >> 2]) + F8(tx * kTile + kHalfTile);
  const F8 y = F8::load(kGrid.y[2 * (micro & 3) + pair]) + F8(ty * kTile + kHalfTile);
  return (x < F8(static_cast<float>(frame.view.width))) &
         (y < F8(static_cast<float>(frame.view.height)));
}

struct alignas(32) PixelPair { // one number for each pixel of a micro
  float v[2][kLanes];
};

// Alphas in a micro of the splats of a batch whose bits are set, one after the other; 0 where a
// splat must not count. With Ratio, also alpha / (1 - alpha).
template <bool Ratio>
RECON_FN void splat_alphas(const Local *batch, uint32_t left, int micro, PixelPair *alphas,
                           PixelPair *ratios) {
  const int count = __builtin_popcount(left);
  const F8 x = F8::load(kGrid.x[micro >> 2]);
  const F8 y[2] = {F8::load(kGrid.y[2 * (micro & 3)]), F8::load(kGrid.y[2 * (micro & 3) + 1])};
  for (PixelPair *out = alphas; left != 0; left &= left - 1, ++out) {
    const Local &r = batch[__builtin_ctz(left)];
    const F8 column = (F8(r.xx) * x + F8(r.x)) * x + F8(r.one);
    const F8 slope = F8(r.xy) * x + F8(r.y);
    for (int i = 0; i < 2; ++i)
      ((F8(r.yy) * y[i] + slope) * y[i] + column).store(out->v[i]);
  }
  float *const alpha_of = alphas->v[0], *const ratio_of = Ratio ? ratios->v[0] : nullptr;
  for (int i = 0; i < 2 * count * kLanes; i += kLanes) {
    const F8 e = F8::load(alpha_of + i);
    const F8 clamped = min_(exp2_fast(e), F8(static_cast<float>(kAlphaMax)));
    const F8 alpha = mask(e >= F8(kLog2AlphaMin), clamped);
    alpha.store(alpha_of + i);
    if (Ratio)
      (alpha / (F8(1.0f) - alpha)).store(ratio_of + i);
  }
}

// Where transmittance stays open; behind the other pixels it is closed (0).
RECON_FN M8 stays_open(F8 t) { return t >= F8(static_cast<float>(kTransmittanceMin)); }

RECON_FN bool any_open(const PixelPair &t) {
  return any((F8::load(t.v[0]) > F8(0.0f)) | (F8::load(t.v[1]) > F8(0.0f)));
}

} // namespace

RECON_END
