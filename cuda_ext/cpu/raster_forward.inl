// Rasterisation of tiles, forward: blends the splats of each pixel front to back. micro.inl tells
// how a tile is taken apart.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

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

} // namespace

void raster_forward(Frame &frame) {
  frame.masks.reserve(frame.pair_count);
  run_chunks(frame.tiles_x * frame.tiles_y, [&](int tile, int) {
    frame.options.depth ? forward_tile<true>(frame, tile) : forward_tile<false>(frame, tile);
  });
}

RECON_END
