// Rasterisation of tiles, forward and backward.
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
// Backward runs front to back like forward: with g the gradient at the pixel, s_i the colour of
// splat i times g, F the final colour times g, and A_i the running sum of w_j s_j for j <= i,
// dL/d(alpha_i) = T_i s_i - (F - A_i) / (1 - alpha_i).
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

struct ForwardMicro {
  PixelPair t, color[3], depth;
};

// Blends the splats of a batch into a micro.
template <bool Depth>
RECON_FN void blend(ForwardMicro &m, const Local *batch, uint32_t left, const PixelPair *alphas) {
  F8 t[2], color[2][3], depth[2];
  for (int i = 0; i < 2; ++i) {
    t[i] = F8::load(m.t.v[i]);
    for (int c = 0; c < 3; ++c)
      color[i][c] = F8::load(m.color[c].v[i]);
    depth[i] = F8::load(m.depth.v[i]);
  }
  for (; left != 0; left &= left - 1, ++alphas) {
    const Local &r = batch[__builtin_ctz(left)];
    for (int i = 0; i < 2; ++i) {
      const F8 alpha = F8::load(alphas->v[i]), w = alpha * t[i];
      for (int c = 0; c < 3; ++c)
        color[i][c] += w * F8(r.color[c]);
      if (Depth)
        depth[i] += w * F8(r.depth);
      const F8 behind = t[i] - w;
      t[i] = mask(stays_open(behind), behind);
    }
  }
  for (int i = 0; i < 2; ++i) {
    t[i].store(m.t.v[i]);
    for (int c = 0; c < 3; ++c)
      color[i][c].store(m.color[c].v[i]);
    depth[i].store(m.depth.v[i]);
  }
}

template <bool Depth> void forward_tile(Frame &frame, int tile) {
  const int tx = tile % frame.tiles_x, ty = tile / frame.tiles_x;
  ForwardMicro micros[kMicros] = {};
  uint32_t open = 0;
  for (int i = 0; i < kMicros; ++i) {
    for (int pair = 0; pair < 2; ++pair)
      mask(inside(frame, tx, ty, i, pair), F8(1.0f)).store(micros[i].t.v[pair]);
    open |= static_cast<uint32_t>(any_open(micros[i].t)) << i;
  }
  const float ox = tx * kTile + kHalfTile, oy = ty * kTile + kHalfTile;
  const uint32_t first = frame.tile_begin[tile], last = frame.tile_begin[tile + 1];
  const Record *records = frame.records.data();
  const Entry *entries = frame.entries.data();
  uint16_t *masks = frame.masks.data();
  Local batch[kBatch];
  PixelPair alphas[kBatch];
  alignas(32) uint32_t rows[kBatch];
  for (uint32_t j = first; j < last && open != 0; j += kBatch) {
    const int count = batch_size(last - j), ahead = batch_size(last - j - count);
    for (int e = 0; e < ahead; ++e)
      __builtin_prefetch(records + entries[j + count + e].id);
    for (int e = 0; e < kBatch; ++e) {
      rows[e] = 0;
      if (e >= count)
        continue;
      const Record &r = records[entries[j + e].id];
      batch[e] = localise(r, ox, oy);
      masks[j + e] = static_cast<uint16_t>(touched_micros(r, batch[e].mx, batch[e].my));
      rows[e] = masks[j + e] & open;
    }
    transpose_bits(rows);
    for (uint32_t todo = open; todo != 0; todo &= todo - 1) {
      const int i = __builtin_ctz(todo);
      splat_alphas<false>(batch, rows[i], i, alphas, nullptr);
      blend<Depth>(micros[i], batch, rows[i], alphas);
      if (!any_open(micros[i].t))
        open &= ~(1u << i);
    }
  }
  float *image = frame.image.data() + ty * kTile * frame.stride + tx * kTile;
  for (int i = 0; i < kMicros; ++i)
    for (int pair = 0; pair < 2; ++pair) {
      const ForwardMicro &m = micros[i];
      auto write = [&](int plane, F8 x) {
        store_half(image + plane * frame.plane, frame.stride, i, pair, x);
      };
      const F8 t = F8::load(m.t.v[pair]);
      for (int c = 0; c < 3; ++c)
        write(c, F8::load(m.color[c].v[pair]) + t * F8(frame.options.background[c]));
      write(kPlaneT, t);
      if (Depth)
        write(kPlaneDepth, F8::load(m.depth.v[pair]));
    }
}

struct BackwardMicro {
  PixelPair t;
  PixelPair rest; // F - A: the colour still to come, times g; 0 where closed
  PixelPair g[3], g_depth, error;
};

// What one splat leaves in one micro: v = dL/d(alpha) alpha, and its blending weight.
struct Visit {
  PixelPair v, w;
};

// Takes a micro through its splats of a batch and leaves their visits, each at its splat's cursor.
template <bool Depth>
RECON_FN void visit(BackwardMicro &m, const Local *batch, uint32_t left, const PixelPair *alphas,
                    const PixelPair *ratios, Visit *visits, uint32_t *cursors) {
  F8 t[2] = {F8::load(m.t.v[0]), F8::load(m.t.v[1])};
  F8 rest[2] = {F8::load(m.rest.v[0]), F8::load(m.rest.v[1])};
  for (; left != 0; left &= left - 1, ++alphas, ++ratios) {
    const unsigned e = __builtin_ctz(left);
    const Local &r = batch[e];
    Visit &out = visits[cursors[e]++];
    for (int i = 0; i < 2; ++i) {
      const F8 alpha = F8::load(alphas->v[i]), w = alpha * t[i];
      F8 si = F8(r.color[0]) * F8::load(m.g[0].v[i]) + F8(r.color[1]) * F8::load(m.g[1].v[i]) +
              F8(r.color[2]) * F8::load(m.g[2].v[i]);
      if (Depth)
        si += F8(r.depth) * F8::load(m.g_depth.v[i]);
      const F8 part = w * si;
      rest[i] = rest[i] - part;
      // Closed pixels have T = rest = 0; the clamp at kAlphaMax passes no gradient.
      const F8 v = part - rest[i] * F8::load(ratios->v[i]);
      mask(alpha < F8(static_cast<float>(kAlphaMax)), v).store(out.v.v[i]);
      w.store(out.w.v[i]);
      const F8 behind = t[i] - w;
      const M8 on = stays_open(behind);
      t[i] = mask(on, behind);
      rest[i] = mask(on, rest[i]);
    }
  }
  for (int i = 0; i < 2; ++i) {
    t[i].store(m.t.v[i]);
    rest[i].store(m.rest.v[i]);
  }
}

// Sums the visits of one splat over its micros into kSums numbers.
template <bool Depth>
RECON_FN void sum_visits(const BackwardMicro *micros, const Local &r, uint32_t left,
                         const Visit *visits, float *out) {
  const F8 zero(0.0f);
  F8 acc[kSums] = {zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero};
  for (; left != 0; left &= left - 1, ++visits) {
    const int i = __builtin_ctz(left), column = i >> 2, row = 2 * (i & 3);
    const BackwardMicro &m = micros[i];
    const F8 v0 = F8::load(visits->v.v[0]), v1 = F8::load(visits->v.v[1]), v = v0 + v1;
    const F8 vy = v0 * F8::load(kGrid.y[row]) + v1 * F8::load(kGrid.y[row + 1]);
    const F8 x = F8::load(kGrid.x[column]);
    acc[kS] += v;
    acc[kSx] += v * x;
    acc[kSy] += vy;
    acc[kSxx] += v * F8::load(kGrid.xx[column]);
    acc[kSxy] += vy * x;
    acc[kSyy] += v0 * F8::load(kGrid.yy[row]);
    acc[kSyy] += v1 * F8::load(kGrid.yy[row + 1]);
    for (int p = 0; p < 2; ++p) {
      const F8 w = F8::load(visits->w.v[p]);
      for (int c = 0; c < 3; ++c)
        acc[kSr + c] += w * F8::load(m.g[c].v[p]);
      if (Depth)
        acc[kSz] += w * F8::load(m.g_depth.v[p]);
      acc[kSerror] += w * F8::load(m.error.v[p]);
    }
  }
  sum8(acc).storeu(out);
  *reinterpret_cast<vf4u *>(out + 8) = sum4(acc + 8);
  // From moments about the tile's centre to moments about the splat's mean.
  const float s = out[kS], sx = out[kSx], sy = out[kSy];
  out[kSx] = sx - r.mx * s;
  out[kSy] = sy - r.my * s;
  out[kSxx] += r.mx * (r.mx * s - 2.0f * sx);
  out[kSxy] += r.mx * (r.my * s - sy) - r.my * sx;
  out[kSyy] += r.my * (r.my * s - 2.0f * sy);
}

template <bool Depth> void backward_tile(Frame &frame, int tile) {
  const int tx = tile % frame.tiles_x, ty = tile / frame.tiles_x;
  const int64_t corner = ty * kTile * frame.stride + tx * kTile;
  const float *image = frame.image.data() + corner, *grad = frame.image_grad.data() + corner;
  BackwardMicro micros[kMicros];
  uint32_t open = 0;
  for (int i = 0; i < kMicros; ++i) {
    BackwardMicro &m = micros[i];
    for (int pair = 0; pair < 2; ++pair) {
      // The padding around the image holds anything, NaN included: mask it, never multiply by 0.
      const M8 in = inside(frame, tx, ty, i, pair);
      auto read = [&](const float *from, int plane) {
        return mask(in, load_half(from + plane * frame.plane, frame.stride, i, pair));
      };
      mask(in, F8(1.0f)).store(m.t.v[pair]);
      F8 rest(0.0f);
      for (int c = 0; c < 3; ++c) {
        const F8 g = read(grad, c);
        g.store(m.g[c].v[pair]);
        rest += g * read(image, c);
      }
      if (frame.has_alpha_grad)
        // alpha = 1 - T: behind the last splat lies a layer of "colour" -g_alpha.
        rest = rest - read(grad, kPlaneGradAlpha) * read(image, kPlaneT);
      if (Depth) {
        const F8 g = read(grad, kPlaneGradDepth);
        g.store(m.g_depth.v[pair]);
        rest += g * read(image, kPlaneDepth);
      }
      rest.store(m.rest.v[pair]);
      read(grad, kPlaneError).store(m.error.v[pair]);
    }
    open |= static_cast<uint32_t>(any_open(m.t)) << i;
  }

  const float ox = tx * kTile + kHalfTile, oy = ty * kTile + kHalfTile;
  const uint32_t first = frame.tile_begin[tile], last = frame.tile_begin[tile + 1];
  const Record *records = frame.records.data();
  const Entry *entries = frame.entries.data();
  float *sums = frame.sums.data();
  // Forward left the masks, as far as any micro was open; here they close at the same batches.
  const uint16_t *masks = frame.masks.data();
  Local batch[kBatch];
  PixelPair alphas[kBatch], ratios[kBatch];
  Visit visits[kBatch * kMicros];
  alignas(32) uint32_t by_entry[kBatch], by_micro[kBatch], cursors[kBatch];
  for (uint32_t j = first; j < last; j += kBatch) {
    const int count = batch_size(last - j), ahead = batch_size(last - j - count);
    if (open == 0) {
      for (int e = 0; e < count; ++e)
        std::memset(sums + static_cast<int64_t>(entries[j + e].slot) * kSums, 0,
                    kSums * sizeof(float));
      continue;
    }
    for (int e = 0; e < ahead; ++e)
      __builtin_prefetch(records + entries[j + count + e].id);
    for (int e = 0; e < count; ++e) {
      const float *out = sums + static_cast<int64_t>(entries[j + e].slot) * kSums;
      __builtin_prefetch(out, 1);
      __builtin_prefetch(out + kSums - 1, 1);
    }
    uint32_t cursor = 0;
    for (int e = 0; e < kBatch; ++e) {
      by_micro[e] = by_entry[e] = e < count ? masks[j + e] & open : 0;
      cursors[e] = cursor;
      cursor += static_cast<uint32_t>(__builtin_popcount(by_entry[e]));
      if (e < count)
        batch[e] = localise(records[entries[j + e].id], ox, oy);
    }
    transpose_bits(by_micro);
    for (uint32_t todo = open; todo != 0; todo &= todo - 1) {
      const int i = __builtin_ctz(todo);
      splat_alphas<true>(batch, by_micro[i], i, alphas, ratios);
      visit<Depth>(micros[i], batch, by_micro[i], alphas, ratios, visits, cursors);
      if (!any_open(micros[i].t))
        open &= ~(1u << i);
    }
    const Visit *from = visits;
    for (int e = 0; e < count; ++e) {
      sum_visits<Depth>(micros, batch[e], by_entry[e], from,
                        sums + static_cast<int64_t>(entries[j + e].slot) * kSums);
      from += __builtin_popcount(by_entry[e]);
    }
  }
}

} // namespace

void raster_forward(Frame &frame) {
  frame.masks.reserve(frame.pair_count);
  run_chunks(frame.tiles_x * frame.tiles_y, [&](int tile, int) {
    frame.options.depth ? forward_tile<true>(frame, tile) : forward_tile<false>(frame, tile);
  });
}

void raster_backward(Frame &frame) {
  frame.sums.reserve(frame.pair_count * kSums + kLanes);
  run_chunks(frame.tiles_x * frame.tiles_y, [&](int tile, int) {
    frame.has_depth_grad ? backward_tile<true>(frame, tile) : backward_tile<false>(frame, tile);
  });
}

RECON_END
