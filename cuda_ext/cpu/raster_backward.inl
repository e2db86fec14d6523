// Rasterisation of tiles, backward: from gradients in the image to sums for each (tile, splat).
//
// Backward runs front to back like forward: with g the gradient at the pixel, s_i the colour of
// splat i times g, F the final colour times g, and A_i the running sum of w_j s_j for j <= i,
// dL/d(alpha_i) = T_i s_i - (F - A_i) / (1 - alpha_i).

#include "cpu/frame.h"

RECON_BEGIN

namespace {

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

void raster_backward(Frame &frame) {
  frame.sums.reserve(frame.pair_count * kSums + kLanes);
  run_chunks(frame.tiles_x * frame.tiles_y, [&](int tile, int) {
    frame.has_depth_grad ? backward_tile<true>(frame, tile) : backward_tile<false>(frame, tile);
  });
}

RECON_END
