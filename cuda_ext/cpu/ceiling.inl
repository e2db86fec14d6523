// The machine's own ceilings, measured with the instruction set and threads of the kernels, and the
// arithmetic that a view needs: what benchmarks/kernels.py sets the kernels against.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

// Keeps the compiler from dropping or hoisting a computation.
RECON_FN void keep(F8 &x) { asm volatile("" : "+m"(x.v)); }

constexpr int kChains = 12; // independent multiply-adds in flight: latency 4, two pipes, some slack

float fma_chains(int64_t rounds) {
  F8 a[kChains], m(0.999f), c(1e-3f);
  for (int i = 0; i < kChains; ++i)
    a[i] = F8(1e-3f * static_cast<float>(i));
  keep(m);
  keep(c);
  for (int64_t r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i)
      a[i] = a[i] * m + c;
  F8 total(0.0f);
  for (int i = 0; i < kChains; ++i)
    total += a[i];
  return sum(total);
}

} // namespace

recon_cpu::Ceilings measure_ceilings() {
  const int threads = recon_cpu::thread_count();
  recon_cpu::Ceilings out = {0.0, 0.0};
  constexpr int64_t kRounds = 4000000;
  Buffer<float> sink;
  sink.reserve(threads);
  for (int repeat = 0; repeat < 5; ++repeat) {
    const double start = recon_cpu::now_seconds();
    run_chunks(threads, [&](int chunk, int) { sink[chunk] = fma_chains(kRounds); });
    const double seconds = recon_cpu::now_seconds() - start;
    const double rate = 2.0 * kLanes * kChains * kRounds * threads / seconds * 1e-9;
    out.fma_gflops = rate > out.fma_gflops ? rate : out.fma_gflops;
  }

  // a = b + s c over arrays far larger than any cache: two reads and a write, with the read that
  // precedes a write counted too.
  constexpr int64_t kFloats = 16 << 20;
  Buffer<float> a, b, c;
  a.reserve(kFloats);
  b.reserve(kFloats);
  c.reserve(kFloats);
  a.clear(kFloats);
  b.clear(kFloats);
  c.clear(kFloats);
  constexpr int kParts = 64;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const double start = recon_cpu::now_seconds();
    run_chunks(kParts, [&](int part, int) {
      const int64_t first = kFloats / kParts * part;
      for (int64_t i = first; i < first + kFloats / kParts; i += kLanes)
        (F8::load(&b[i]) + F8(3.0f) * F8::load(&c[i])).store(&a[i]);
    });
    const double seconds = recon_cpu::now_seconds() - start;
    const double rate = 16.0 * kFloats / seconds * 1e-9;
    out.triad_gbs = rate > out.triad_gbs ? rate : out.triad_gbs;
  }
  return out;
}

// Counts what rasterising the last view needs, tile by tile, as forward does.
recon_cpu::RasterWork raster_work(const Frame &frame) {
  int64_t micros = 0, evaluations = 0;
  run_chunks(frame.tiles_x * frame.tiles_y, [&](int tile, int) {
    const int tx = tile % frame.tiles_x, ty = tile / frame.tiles_x;
    const float ox = tx * kTile + kHalfTile, oy = ty * kTile + kHalfTile;
    PixelPair t[kMicros];
    for (int i = 0; i < 2 * kMicros; ++i)
      mask(inside(frame, tx, ty, i >> 1, i & 1), F8(1.0f)).store(t[i >> 1].v[i & 1]);
    int64_t visited = 0, counted = 0;
    const uint32_t first = frame.tile_begin[tile], last = frame.tile_begin[tile + 1];
    uint32_t open = ~0u, closing = 0; // micros close at the end of a batch
    for (uint32_t j = first; j < last && open != 0; ++j) {
      const Record &r = frame.records[frame.entries[j].id];
      const Local local = localise(r, ox, oy);
      for (uint32_t left = touched_micros(r, local.mx, local.my) & open; left != 0;
           left &= left - 1) {
        const int i = __builtin_ctz(left);
        PixelPair alphas;
        splat_alphas<false>(&local, 1, i, &alphas, nullptr);
        ++visited;
        for (int pair = 0; pair < 2; ++pair) {
          const F8 alpha = F8::load(alphas.v[pair]), before = F8::load(t[i].v[pair]);
          counted += __builtin_popcount(bits(alpha * before > F8(0.0f)));
          const F8 after = before - alpha * before;
          mask(stays_open(after), after).store(t[i].v[pair]);
        }
        if (!any_open(t[i]))
          closing |= 1u << i;
      }
      if ((j - first) % kBatch == kBatch - 1)
        open &= ~closing;
    }
    __atomic_fetch_add(&micros, visited, __ATOMIC_RELAXED);
    __atomic_fetch_add(&evaluations, counted, __ATOMIC_RELAXED);
  });
  return {micros * 2 * kLanes, evaluations};
}

RECON_END
