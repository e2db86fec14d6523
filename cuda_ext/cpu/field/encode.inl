// The multiresolution hash grid: look-up, and the sums of gradients into it.

#include "cpu/field/state.h"

RECON_BEGIN

namespace {

// Cells of eight samples on one level: entries of their corners, counted from the level's first,
// and trilinear weights. Position lanes that hold nothing sensible give entries in range.
struct Corners {
  alignas(32) uint32_t entry[8][kLanes];
  alignas(32) float weight[8][kLanes];
};

RECON_FN void find_corners(const FieldShape &shape, int level, const float *const u[3],
                           Corners &out) {
  const int resolution = shape.resolution[level];
  const F8 scale(static_cast<float>(resolution));
  F8 f[3], weight[8];
  vu8 cell[3], entry[8];
  for (int i = 0; i < 3; ++i) {
    const F8 p = F8::loadu(u[i]) * scale;
    vi8 c = __builtin_convertvector(p.v, vi8);
    c = c < resolution - 1 ? c : vi8{} + (resolution - 1);
    c = c > 0 ? c : vi8{};
    f[i] = p - F8(__builtin_convertvector(c, vf8));
    cell[i] = (vu8)c;
  }
  corner_weights(f, weight);
  const int64_t entries = shape.offset[level + 1] - shape.offset[level];
  corner_entries(cell, shape.dense[level], static_cast<uint32_t>(resolution + 1),
                 static_cast<uint32_t>(entries - 1), entry);
  for (int c = 0; c < 8; ++c) {
    weight[c].store(out.weight[c]);
    *reinterpret_cast<vu8 *>(out.entry[c]) = entry[c];
  }
}

// Calls f(sample, corners, lane) for n samples at unit cube positions u on one level. The entries
// of the next eight samples are fetched while the present ones are worked on: `table` points to the
// level's first entry, entries are SIZE bytes.
template <int SIZE, int WRITE, class F>
RECON_FN void for_samples(const FieldShape &shape, int level, const float *const u[3], int n,
                          const void *table, F &&f) {
  Corners corners[2];
  const float *at[3];
  auto find = [&](int first) {
    Corners &c = corners[first / kLanes & 1];
    for (int i = 0; i < 3; ++i)
      at[i] = u[i] + first;
    find_corners(shape, level, at, c);
    for (int k = 0; k < 8; ++k)
      for (int j = 0; j < kLanes; ++j)
        __builtin_prefetch(
            static_cast<const char *>(table) + static_cast<int64_t>(c.entry[k][j]) * SIZE, WRITE);
  };
  find(0);
  for (int first = 0; first < n; first += kLanes) {
    if (first + kLanes < n)
      find(first + kLanes);
    const int count = n - first < kLanes ? n - first : kLanes;
    const Corners &c = corners[first / kLanes & 1];
    for (int j = 0; j < count; ++j)
      f(first + j, c, j);
  }
}

} // namespace

// Features of n > 0 samples at unit cube positions u, padded to whole vectors: rows of `out`.
void encode(const FieldShape &shape, const uint16_t *table, const float *const u[3], int n,
            float *out) {
  for (int level = 0; level < kLevels; ++level) {
    const uint16_t *entries = table + shape.offset[level] * kFeatures;
    for_samples<kFeatures * 2, 0>(
        shape, level, u, n, entries, [&](int i, const Corners &corners, int j) {
          vf4 sum = {0, 0, 0, 0};
#pragma GCC unroll 8
          for (int c = 0; c < 8; ++c)
            sum += corners.weight[c][j] *
                   load_half4(entries + static_cast<int64_t>(corners.entry[c][j]) * kFeatures);
          *reinterpret_cast<vf4u *>(out + i * kEncoded + level * kFeatures) = sum;
        });
  }
}

// Adds the gradients of one level's features of all groups, in order, to `grad` (entries of the
// level, kFeatures), and sets the bit of each entry in `touched`, unless it is null.
void scatter_level(const FieldShape &shape, int level, const Group *groups, float *grad,
                   uint64_t *touched) {
  for (int g = 0; g < kGroups; ++g) {
    const Gradients &from = groups[g].gradients;
    for (int64_t b = 0; b < from.n; ++b) {
      const float *block = from.blocks.data() + b * kGradBlock;
      const float *const u[3] = {block, block + kRows, block + 2 * kRows};
      const float *features = block + 3 * kRows + level * kRows * kFeatures;
      for_samples<kFeatures * 4, 1>(
          shape, level, u, from.rows[b], grad, [&](int i, const Corners &corners, int j) {
            const vf4 g4 = *reinterpret_cast<const vf4u *>(features + i * kFeatures);
#pragma GCC unroll 8
            for (int c = 0; c < 8; ++c) {
              const uint32_t entry = corners.entry[c][j];
              vf4 *into = reinterpret_cast<vf4 *>(grad + static_cast<int64_t>(entry) * kFeatures);
              *into += corners.weight[c][j] * g4;
              if (touched != nullptr)
                touched[entry >> 6] |= uint64_t(1) << (entry & 63);
            }
          });
    }
  }
}

RECON_END
