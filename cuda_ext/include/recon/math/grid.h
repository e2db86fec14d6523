// The occupancy grid of the hash-grid field: (cells a side)^3 cells of the unit cube, x fastest,
// one bit each; and a coarse grid beside it, by which rays cross what is empty many steps at a
// time.
#pragma once

#include "recon/field.h"
#include "recon/math/field.h"
#include "recon/math/random.h"

RECON_BEGIN

constexpr int kCoarse = 4; // cells of the occupancy grid along a side of a coarse cell

RECON_FN bool occupied(const uint8_t *bits, int64_t cell) {
  return bits[cell >> 3] >> (cell & 7) & 1;
}

RECON_FN int cell_of(float u, int cells) {
  const int c = static_cast<int>(u * static_cast<float>(cells));
  return c < 0 ? 0 : (c >= cells ? cells - 1 : c);
}

// The cell of a position, of a grid with so many cells a side; positions outside count to the cells
// at the border.
RECON_FN int64_t cell_at(const float u[3], int cells) {
  return (static_cast<int64_t>(cell_of(u[2], cells)) * cells + cell_of(u[1], cells)) * cells +
         cell_of(u[0], cells);
}

// How far a ray may go, in box units, from a coarse cell with nothing occupied within one cell.
RECON_FN float coarse_reach(const recon_types::FieldShape &shape) {
  // A step in the unit cube is at most this share of one in box space.
  const float shrink = shape.contracted ? 0.25f : 0.5f;
  return 0.8f / (static_cast<float>(shape.grid / kCoarse) * shrink);
}

// By how much space is squeezed at the centre of a cell.
RECON_FN float stretch_of_cell(const recon_types::FieldShape &shape, int x, int y, int z) {
  const float inv = 1.0f / static_cast<float>(shape.grid);
  const float u[3] = {(static_cast<float>(x) + 0.5f) * inv, (static_cast<float>(y) + 0.5f) * inv,
                      (static_cast<float>(z) + 0.5f) * inv};
  float p[3];
  return box_from_unit(shape.contracted, u, p);
}

// Whether an update looks at a cell again; not at those that no training camera sees.
RECON_FN bool cell_is_due(const recon_types::GridOptions &o, uint32_t cell, bool is_occupied,
                          float density) {
  if (density < 0.0f)
    return false;
  const int every = is_occupied ? o.occupied_every : o.all_every;
  return every <= 1 || random_bits(o.seed, cell, 0) % static_cast<uint32_t>(every) == 0;
}

// Where an update looks at a cell: a random point of it, in the unit cube.
RECON_FN void point_in_cell(const recon_types::GridOptions &o, int grid, const int corner[3],
                            uint32_t cell, float u[3]) {
  for (int i = 0; i < 3; ++i)
    u[i] =
        (static_cast<float>(corner[i]) + random_unit(o.seed, cell, static_cast<uint32_t>(1 + i))) /
        static_cast<float>(grid);
}

// What a cell adds to the mean that the threshold depends on: opacity of a step of equal length
// everywhere. With the long steps of the squeezed shell, most of the cells, the mean would be so
// high that the box would be emptied before it was ever trained.
RECON_FN float fog_opacity(float density, const recon_types::GridOptions &o) {
  return min_(density * o.shortest, 1.0f);
}

// Opacity of a step through a cell from which on it is occupied. While all is thin fog, what is
// near the mean stays.
RECON_FN float occupancy_threshold(const recon_types::GridOptions &o, float mean) {
  return min_(o.threshold, 0.5f * mean);
}

RECON_END
