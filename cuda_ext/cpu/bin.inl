// Depth order and tile lists.

#include "cpu/frame.h"

RECON_BEGIN

// Least-significant-digit radix sort of the keys by depth; stable, so ties stay in splat order.
void sort_by_depth(Frame &frame) {
  constexpr int kDigit = 11, kBins = 1 << kDigit, kPasses = 3;
  const int64_t n = frame.visible_count;
  uint32_t histogram[kPasses][kBins] = {};
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t depth = frame.keys[i] >> 32;
    for (int pass = 0; pass < kPasses; ++pass)
      ++histogram[pass][depth >> (pass * kDigit) & (kBins - 1)];
  }
  uint64_t *from = frame.keys.data(), *to = frame.keys2.data();
  for (int pass = 0; pass < kPasses; ++pass) {
    const int shift = 32 + pass * kDigit;
    uint32_t *bins = histogram[pass];
    if (n > 0 && bins[from[0] >> shift & (kBins - 1)] == n)
      continue; // one digit for all
    uint32_t sum = 0;
    for (int b = 0; b < kBins; ++b) {
      const uint32_t count = bins[b];
      bins[b] = sum;
      sum += count;
    }
    for (int64_t i = 0; i < n; ++i)
      to[bins[from[i] >> shift & (kBins - 1)]++] = from[i];
    uint64_t *swap = from;
    from = to;
    to = swap;
  }
  if (from != frame.keys.data())
    std::memcpy(frame.keys.data(), from, static_cast<size_t>(n) * sizeof(uint64_t));
}

namespace {

RECON_FN int clamp_int(float x, int lo, int hi) {
  return x < static_cast<float>(lo) ? lo : x > static_cast<float>(hi) ? hi : static_cast<int>(x);
}

// Appends the tiles that the ellipse of `r` touches, row by row of tiles, exactly; returns how
// many.
RECON_FN uint32_t touch_tiles(const Record &r, uint32_t id, int tiles_x, int tiles_y, Pair *out,
                              uint32_t *histogram) {
  constexpr float kInv = 1.0f / kTile;
  const int y_first = clamp_int((r.my - r.hy - 0.5f - kSpanSlack) * kInv, 0, tiles_y - 1);
  const int y_last = clamp_int((r.my + r.hy - 0.5f + kSpanSlack) * kInv, 0, tiles_y - 1);
  uint32_t count = 0;
  for (int ty = y_first; ty <= y_last; ++ty) {
    // Pixel centres of the row of tiles, relative to the mean.
    const float lo = static_cast<float>(ty * kTile) + 0.5f - r.my;
    const float hi = lo + static_cast<float>(kTile - 1);
    if (lo > r.hy + kSpanSlack || hi < -r.hy - kSpanSlack)
      continue;
    float left, right;
    ellipse_span(r.hy, r.inv_hy, r.shear, r.half_width, r.dy_right, lo, hi, left, right);
    left += r.mx;
    right += r.mx;
    const int x_first = clamp_int((left - 0.5f - kSpanSlack) * kInv, 0, tiles_x - 1);
    const int x_last = clamp_int((right - 0.5f + kSpanSlack) * kInv, 0, tiles_x - 1);
    if (right < 0.0f || left > static_cast<float>(tiles_x * kTile))
      continue;
    for (int tx = x_first; tx <= x_last; ++tx) {
      const uint32_t tile = static_cast<uint32_t>(ty * tiles_x + tx);
      out[count++] = {tile, id};
      ++histogram[tile];
    }
  }
  return count;
}

} // namespace

// Pairs are emitted in depth order by a fixed number of chunks, counted for each tile and chunk,
// and scattered to their places: lists come out in depth order, the same for any number of threads.
void bin(Frame &frame) {
  constexpr int kChunks = Frame::kBinChunks;
  const int tiles = frame.tiles_x * frame.tiles_y;
  const int64_t n = frame.visible_count;
  int64_t counts[kChunks + 1] = {};
  const int chunks = n < 4096 ? (n < 512 ? 1 : 4) : kChunks;
  frame.bin_histogram.reserve(static_cast<int64_t>(tiles) * chunks);
  frame.bin_histogram.clear(static_cast<int64_t>(tiles) * chunks);
  uint32_t *hist = frame.bin_histogram.data();
  frame.slot_begin.reserve(frame.n);
  frame.slot_count.reserve(frame.n);
  frame.tile_begin.reserve(tiles + 1);

  run_chunks(chunks, [&](int chunk, int) {
    const int64_t first = n * chunk / chunks, last = n * (chunk + 1) / chunks;
    Buffer<Pair> &out = frame.bin_pairs[chunk];
    uint32_t *h = hist + static_cast<int64_t>(chunk) * tiles;
    int64_t count = 0;
    for (int64_t i = first; i < last; ++i) {
      if (i + 8 < last)
        __builtin_prefetch(&frame.records[static_cast<uint32_t>(frame.keys[i + 8])]);
      const uint32_t id = static_cast<uint32_t>(frame.keys[i]);
      const Record &r = frame.records[id];
      const int64_t wide = static_cast<int64_t>(2 * r.hx / kTile) + 3;
      const int64_t high = static_cast<int64_t>(2 * r.hy / kTile) + 3;
      const int64_t bound = (wide < frame.tiles_x ? wide : frame.tiles_x) *
                            (high < frame.tiles_y ? high : frame.tiles_y);
      out.reserve(count + bound, true);
      const uint32_t touched =
          touch_tiles(r, id, frame.tiles_x, frame.tiles_y, out.data() + count, h);
      frame.slot_begin[id] = static_cast<uint32_t>(count); // within the chunk, for now
      frame.slot_count[id] = touched;
      count += touched;
    }
    counts[chunk + 1] = count;
  });

  for (int chunk = 0; chunk < chunks; ++chunk)
    counts[chunk + 1] += counts[chunk];
  frame.pair_count = counts[chunks];
  frame.entries.reserve(frame.pair_count);
  uint32_t position = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    frame.tile_begin[tile] = position;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      uint32_t &h = hist[static_cast<int64_t>(chunk) * tiles + tile];
      const uint32_t count = h;
      h = position;
      position += count;
    }
  }
  frame.tile_begin[tiles] = position;

  run_chunks(chunks, [&](int chunk, int) {
    const int64_t count = counts[chunk + 1] - counts[chunk];
    const uint32_t base = static_cast<uint32_t>(counts[chunk]);
    const Pair *in = frame.bin_pairs[chunk].data();
    uint32_t *cursor = hist + static_cast<int64_t>(chunk) * tiles;
    for (int64_t i = 0; i < count; ++i)
      frame.entries[cursor[in[i].tile]++] = {in[i].id, base + static_cast<uint32_t>(i)};
    const int64_t first = n * chunk / chunks, last = n * (chunk + 1) / chunks;
    for (int64_t i = first; i < last; ++i)
      frame.slot_begin[static_cast<uint32_t>(frame.keys[i])] += base;
  });
}

RECON_END
