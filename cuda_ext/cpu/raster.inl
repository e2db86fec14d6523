// Rasterisation of tiles, forward and backward.
//
// A tile is 32 groups ("micros") of 4x2 pixels, one vector each. For each splat of the tile's list
// the ellipse alpha >= kAlphaMin is intersected with the pixel rows in closed form; that yields one
// bit for each micro that it touches, and only those are visited. Micros whose pixels are all
// opaque drop out by the same bits. Cost follows the pixels inside ellipses, not the tiles touched.
//
// Backward runs front to back like forward: with g the gradient at the pixel, s_i the colour of
// splat i times g, F the final colour times g, and A_i the running sum of w_j s_j for j <= i,
// dL/d(alpha_i) = T_i s_i - (F - A_i) / (1 - alpha_i). Nothing is stored per pixel and splat.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

// Pixel centres relative to the tile: x by column of micros, y by row pair.
struct MicroGrid {
  alignas(32) float x[4][kLanes];
  alignas(32) float y[8][kLanes];
  alignas(32) float y_even[kLanes]; // centre of the upper row of each row pair
};

constexpr MicroGrid make_grid() {
  MicroGrid g = {};
  for (int c = 0; c < 4; ++c)
    for (int l = 0; l < kLanes; ++l)
      g.x[c][l] = 4.0f * c + (l & 3) + 0.5f;
  for (int r = 0; r < 8; ++r) {
    for (int l = 0; l < kLanes; ++l)
      g.y[r][l] = 2.0f * r + (l >> 2) + 0.5f;
    g.y_even[r] = 2.0f * r + 0.5f;
  }
  return g;
}
alignas(64) constexpr MicroGrid kGrid = make_grid();

// The micros that the ellipse of `r` touches; (mx, my) is its mean relative to the tile.
RECON_FN uint32_t touched_micros(const Record &r, float mx, float my) {
  const F8 inv_hy(1.0f / r.hy), half_width(r.half_width), shear(r.shear);
  const F8 one(1.0f + 1e-3f), zero(0.0f);
  const F8 dy0 = F8::load(kGrid.y_even) - F8(my), dy1 = dy0 + F8(1.0f);
  const F8 z0 = dy0 * inv_hy, z1 = dy1 * inv_hy;
  const F8 w0 = one - z0 * z0, w1 = one - z1 * z1;
  const F8 half0 = half_width * sqrt_(max_(w0, zero)), half1 = half_width * sqrt_(max_(w1, zero));
  const F8 mid0 = F8(mx) + shear * dy0, mid1 = F8(mx) + shear * dy1;
  const F8 never(1e30f);
  const M8 on0 = w0 > zero, on1 = w1 > zero;
  const F8 lo =
      min_(select(on0, mid0 - half0, never), select(on1, mid1 - half1, never)) - F8(kSpanSlack);
  const F8 hi =
      max_(select(on0, mid0 + half0, -never), select(on1, mid1 + half1, -never)) + F8(kSpanSlack);
  uint32_t out = 0;
  for (int c = 0; c < 4; ++c)
    out |= bits((lo <= F8(4.0f * c + 3.5f)) & (hi >= F8(4.0f * c + 0.5f))) << (8 * c);
  return out;
}

// Masks are computed for a batch of entries ahead of their use: a pass without branches, whose
// latency would otherwise follow each mispredicted end of a loop over micros.
constexpr uint32_t kBatch = 64;

RECON_FN void batch_masks(const Record *records, const Entry *entries, uint32_t left, float ox,
                          float oy, uint32_t *masks) {
  const uint32_t count = left < kBatch ? left : kBatch;
  const uint32_t next = left - count < kBatch ? left - count : kBatch;
  for (uint32_t i = 0; i < next; ++i)
    __builtin_prefetch(records + entries[count + i].id);
  for (uint32_t i = 0; i < count; ++i) {
    const Record &r = records[entries[i].id];
    masks[i] = touched_micros(r, r.mx - ox, r.my - oy);
  }
}

// A micro's 8 pixels of a plane; `p` points at the tile's upper left pixel.
RECON_FN F8 load_micro(const float *p, int64_t stride, int micro) {
  const float *q = p + (micro & 7) * 2 * stride + (micro >> 3) * 4;
  const vf4 lo = *reinterpret_cast<const vf4u *>(q);
  const vf4 hi = *reinterpret_cast<const vf4u *>(q + stride);
  return F8(__builtin_shufflevector(lo, hi, 0, 1, 2, 3, 4, 5, 6, 7));
}

RECON_FN void store_micro(float *p, int64_t stride, int micro, F8 x) {
  float *q = p + (micro & 7) * 2 * stride + (micro >> 3) * 4;
  *reinterpret_cast<vf4u *>(q) = __builtin_shufflevector(x.v, x.v, 0, 1, 2, 3);
  *reinterpret_cast<vf4u *>(q + stride) = __builtin_shufflevector(x.v, x.v, 4, 5, 6, 7);
}

// The pixels of the micro that lie in the image, not in its padding.
RECON_FN M8 inside(const Frame &frame, int tx, int ty, int micro) {
  const F8 x = F8::load(kGrid.x[micro >> 3]) + F8(static_cast<float>(tx * kTile));
  const F8 y = F8::load(kGrid.y[micro & 7]) + F8(static_cast<float>(ty * kTile));
  return (x < F8(static_cast<float>(frame.view.width))) &
         (y < F8(static_cast<float>(frame.view.height)));
}

// Offset, exponent and alpha of a splat in a micro; alpha is 0 where it must not count.
struct Alpha {
  F8 dx, dy, raw, alpha; // raw: before the clamp and the threshold
};

RECON_FN Alpha splat_alpha(const Record &r, float mx, float my, const float *x, const float *y) {
  Alpha out;
  out.dx = F8::load(x) - F8(mx);
  out.dy = F8::load(y) - F8(my);
  const F8 e = (F8(r.a) * out.dx + F8(r.b) * out.dy) * out.dx +
               (F8(r.c) * out.dy * out.dy + F8(r.log2_opacity));
  out.raw = exp2_fast(e);
  out.alpha = mask(e >= F8(kLog2AlphaMin), min_(out.raw, F8(static_cast<float>(kAlphaMax))));
  return out;
}

// Transmittance behind a layer of weight w; closed (0) once it falls under the threshold.
RECON_FN F8 transmit(F8 t, F8 w) {
  const F8 next = t - w;
  return mask(next >= F8(static_cast<float>(kTransmittanceMin)), next);
}

// All that a visit of a micro touches lies together: one address computation a visit.
struct alignas(256) ForwardMicro {
  float x[kLanes], y[kLanes];
  float t[kLanes];
  float color[3][kLanes];
  float depth[kLanes];
};

template <bool Depth> void forward_tile(Frame &frame, int tile) {
  const int tx = tile % frame.tiles_x, ty = tile / frame.tiles_x;
  ForwardMicro micros[kMicros];
  uint32_t open = 0;
  for (int i = 0; i < kMicros; ++i) {
    ForwardMicro &m = micros[i];
    const M8 in = inside(frame, tx, ty, i);
    const F8 zero(0.0f);
    F8::load(kGrid.x[i >> 3]).store(m.x);
    F8::load(kGrid.y[i & 7]).store(m.y);
    mask(in, F8(1.0f)).store(m.t);
    open |= static_cast<uint32_t>(any(in)) << i;
    for (int c = 0; c < 3; ++c)
      zero.store(m.color[c]);
    zero.store(m.depth);
  }
  const float ox = static_cast<float>(tx * kTile), oy = static_cast<float>(ty * kTile);
  const uint32_t first = frame.tile_begin[tile], last = frame.tile_begin[tile + 1];
  const Record *records = frame.records.data();
  const Entry *entries = frame.entries.data();
  uint32_t *masks = frame.masks.data();
  for (uint32_t j = first; j < last && open != 0; ++j) {
    if ((j - first) % kBatch == 0)
      batch_masks(records, entries + j, last - j, ox, oy, masks + j);
    const Record &r = records[entries[j].id];
    const float mx = r.mx - ox, my = r.my - oy;
    for (uint32_t left = masks[j] & open; left != 0; left &= left - 1) {
      const unsigned i = __builtin_ctz(left);
      ForwardMicro &m = micros[i];
      const Alpha a = splat_alpha(r, mx, my, m.x, m.y);
      const F8 t = F8::load(m.t);
      const F8 w = a.alpha * t;
      for (int c = 0; c < 3; ++c)
        (F8::load(m.color[c]) + w * F8(r.color[c])).store(m.color[c]);
      if (Depth)
        (F8::load(m.depth) + w * F8(r.depth)).store(m.depth);
      const F8 next = transmit(t, w);
      next.store(m.t);
      if (!any(next > F8(0.0f)))
        open &= ~(1u << i);
    }
  }
  float *image = frame.image.data() + ty * kTile * frame.stride + tx * kTile;
  for (int i = 0; i < kMicros; ++i) {
    const ForwardMicro &m = micros[i];
    const F8 t = F8::load(m.t);
    for (int c = 0; c < 3; ++c)
      store_micro(image + c * frame.plane, frame.stride, i,
                  F8::load(m.color[c]) + t * F8(frame.options.background[c]));
    store_micro(image + kPlaneT * frame.plane, frame.stride, i, t);
    if (Depth)
      store_micro(image + kPlaneDepth * frame.plane, frame.stride, i, F8::load(m.depth));
  }
}

struct alignas(64) BackwardMicro {
  float x[kLanes], y[kLanes];
  float t[kLanes];
  float rest[kLanes]; // F - A: the colour still to come, times g
  float g[3][kLanes];
  float error[kLanes];
  float g_depth[kLanes];
};

template <bool Depth> void backward_tile(Frame &frame, int tile) {
  const int tx = tile % frame.tiles_x, ty = tile / frame.tiles_x;
  const int64_t corner = ty * kTile * frame.stride + tx * kTile;
  const float *image = frame.image.data() + corner, *grad = frame.image_grad.data() + corner;
  BackwardMicro micros[kMicros];
  uint32_t open = 0;
  for (int i = 0; i < kMicros; ++i) {
    BackwardMicro &m = micros[i];
    // The padding around the image holds anything, NaN included: mask it, never multiply by 0.
    const M8 in = inside(frame, tx, ty, i);
    F8::load(kGrid.x[i >> 3]).store(m.x);
    F8::load(kGrid.y[i & 7]).store(m.y);
    mask(in, F8(1.0f)).store(m.t);
    open |= static_cast<uint32_t>(any(in)) << i;
    auto read = [&](const float *from, int plane) {
      return mask(in, load_micro(from + plane * frame.plane, frame.stride, i));
    };
    F8 rest(0.0f);
    for (int c = 0; c < 3; ++c) {
      const F8 g = read(grad, c);
      g.store(m.g[c]);
      rest += g * read(image, c);
    }
    if (frame.has_alpha_grad)
      // alpha = 1 - T: behind the last splat lies a layer of "colour" -g_alpha.
      rest = rest - read(grad, kPlaneGradAlpha) * read(image, kPlaneT);
    if (Depth) {
      const F8 g = read(grad, kPlaneGradDepth);
      g.store(m.g_depth);
      rest += g * read(image, kPlaneDepth);
    }
    rest.store(m.rest);
    read(grad, kPlaneError).store(m.error);
  }

  const float ox = static_cast<float>(tx * kTile), oy = static_cast<float>(ty * kTile);
  const uint32_t first = frame.tile_begin[tile], last = frame.tile_begin[tile + 1];
  const Record *records = frame.records.data();
  const Entry *entries = frame.entries.data();
  float *sums = frame.sums.data();
  // Forward left the masks, as far as any micro was open; here they close at the same entries.
  const uint32_t *masks = frame.masks.data();
  for (uint32_t j = first; j < last; ++j) {
    float *out = sums + static_cast<int64_t>(entries[j].slot) * kSums;
    if (j + 8 < last)
      __builtin_prefetch(records + entries[j + 8].id);
    const Record &r = records[entries[j].id];
    const float mx = r.mx - ox, my = r.my - oy;
    uint32_t left = open == 0 ? 0 : masks[j] & open;
    if (left == 0) {
      std::memset(out, 0, kSums * sizeof(float));
      continue;
    }
    const F8 zero(0.0f);
    F8 acc[kSums] = {zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero};
    for (; left != 0; left &= left - 1) {
      const unsigned i = __builtin_ctz(left);
      BackwardMicro &m = micros[i];
      const Alpha a = splat_alpha(r, mx, my, m.x, m.y);
      const F8 t = F8::load(m.t);
      const F8 w = a.alpha * t;
      const F8 g0 = F8::load(m.g[0]), g1 = F8::load(m.g[1]), g2 = F8::load(m.g[2]);
      F8 si = F8(r.color[0]) * g0 + F8(r.color[1]) * g1 + F8(r.color[2]) * g2;
      F8 gz;
      if (Depth) {
        gz = F8::load(m.g_depth);
        si += F8(r.depth) * gz;
      }
      const F8 rest = F8::load(m.rest) - w * si;
      rest.store(m.rest);
      // dL/d(alpha) alpha; the clamp at kAlphaMax passes no gradient, closed pixels have T = 0.
      const F8 raw = w * si - rest * a.alpha / (F8(1.0f) - a.alpha);
      const F8 v = mask((t > zero) & (a.raw <= F8(static_cast<float>(kAlphaMax))), raw);
      const F8 vx = v * a.dx, vy = v * a.dy;
      acc[kS] += v;
      acc[kSx] += vx;
      acc[kSy] += vy;
      acc[kSxx] += vx * a.dx;
      acc[kSxy] += vx * a.dy;
      acc[kSyy] += vy * a.dy;
      acc[kSr] += w * g0;
      acc[kSg] += w * g1;
      acc[kSb] += w * g2;
      if (Depth)
        acc[kSz] += w * gz;
      acc[kSerror] += w * F8::load(m.error);
      const F8 next = transmit(t, w);
      next.store(m.t);
      if (!any(next > zero))
        open &= ~(1u << i);
    }
    sum8(acc).storeu(out);
    const vf4 tail = sum4(acc + 8);
    *reinterpret_cast<vf4u *>(out + 8) = tail;
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
