// The occupancy grid: which cells are worth sampling.

#include "cpu/field/state.h"

RECON_BEGIN

using recon_cpu::FieldImage;
using recon_cpu::GridOptions;

// Takes over the bits, and marks the coarse cells from which an occupied one is within reach.
void set_occupancy(Space &space, const FieldShape &shape, const uint8_t *bits) {
  const int64_t g = shape.grid, n = g / kCoarse, cells = g * g * g;
  space.bits.reserve(cells / 8);
  std::memcpy(space.bits.data(), bits, static_cast<size_t>(cells / 8));
  space.coarse.reserve(n * n * n);
  space.coarse2.reserve(n * n * n);
  space.coarse2.clear(n * n * n);
  for (int64_t z = 0; z < g; ++z)
    for (int64_t y = 0; y < g; ++y) {
      const uint8_t *row = space.bits.data() + (z * g + y) * g / 8;
      uint8_t *into = &space.coarse2[(z / kCoarse * n + y / kCoarse) * n];
      for (int64_t x = 0; x < g / 8; ++x) {
        into[2 * x] |= (row[x] & 0x0f) != 0;
        into[2 * x + 1] |= (row[x] & 0xf0) != 0;
      }
    }
  // Widen by one cell along each axis in turn.
  const int64_t strides[3] = {1, n, n * n};
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t stride = strides[axis];
    for (int64_t i = 0; i < n * n * n; ++i) {
      const int64_t x = i / stride % n;
      uint8_t any = space.coarse2[i];
      if (x > 0)
        any |= space.coarse2[i - stride];
      if (x + 1 < n)
        any |= space.coarse2[i + stride];
      space.coarse[i] = any;
    }
    std::memcpy(space.coarse2.data(), space.coarse.data(), static_cast<size_t>(n * n * n));
  }
}

namespace {

// A ball in a view: whether it reaches into the image in front of `near`, and the pixels that its
// image lies within, clipped to the image.
struct Shadow {
  bool seen;
  int x0, y0, x1, y1; // half open
};
Shadow shadow_of(const recon_cpu::View &v, const float p[3], float radius, float near) {
  float c[3];
  for (int i = 0; i < 3; ++i)
    c[i] = v.rotation[3 * i] * p[0] + v.rotation[3 * i + 1] * p[1] + v.rotation[3 * i + 2] * p[2] +
           v.translation[i];
  Shadow out = {false, 0, 0, 0, 0};
  if (c[2] + radius < near)
    return out;
  const float depth = max_(c[2], max_(near, 1e-6f));
  const float px = v.fx * c[0] / depth + v.cx, py = v.fy * c[1] / depth + v.cy;
  const float rx = v.fx * radius / depth + 1.0f, ry = v.fy * radius / depth + 1.0f;
  const float w = static_cast<float>(v.width), h = static_cast<float>(v.height);
  out.seen = px + rx > 0.0f && py + ry > 0.0f && px - rx < w && py - ry < h;
  if (out.seen) {
    out.x0 = static_cast<int>(max_(px - rx, 0.0f));
    out.y0 = static_cast<int>(max_(py - ry, 0.0f));
    out.x1 = static_cast<int>(min_(px + rx + 1.0f, w));
    out.y1 = static_cast<int>(min_(py + ry + 1.0f, h));
  }
  return out;
}

// Calls f(cell, centre in scene space, radius of the ball around it) for the cells of a slab.
template <class F> void for_cells(const FieldShape &shape, int z, F &&f) {
  const int g = shape.grid;
  const float inv = 1.0f / static_cast<float>(g);
  for (int y = 0; y < g; ++y)
    for (int x = 0; x < g; ++x) {
      const float u[3] = {(static_cast<float>(x) + 0.5f) * inv,
                          (static_cast<float>(y) + 0.5f) * inv,
                          (static_cast<float>(z) + 0.5f) * inv};
      float p[3];
      const float stretch = box_from_unit(shape.contracted, u, p);
      const float radius = (shape.contracted ? 3.5f : 1.75f) * inv * stretch * shape.half;
      for (int i = 0; i < 3; ++i)
        p[i] = p[i] * shape.half + shape.centre[i];
      f((static_cast<int64_t>(z) * g + y) * g + x, p, radius);
    }
}

} // namespace

// See FieldEngine::mark_visible.
void mark_visible(const FieldShape &shape, const FieldImage *images, int n, float near, bool carve,
                  float *density) {
  const int g = shape.grid;
  run_chunks(g, [&](int z, int) {
    for_cells(shape, z, [&](int64_t cell, const float p[3], float radius) {
      bool seen = false;
      for (int k = 0; k < n && !seen; ++k)
        seen = shadow_of(images[k].view, p, radius, near * shape.half).seen;
      density[cell] = seen ? 0.0f : -1.0f;
    });
  });
  if (!carve)
    return;
  // The visual hull (Laurentini 1994): a cell that a photo sees through is empty. Sums over
  // rectangles of pixels that are not wholly transparent come from a table of sums.
  Buffer<int32_t> table;
  for (int k = 0; k < n; ++k) {
    const recon_cpu::View &v = images[k].view;
    const int64_t stride = v.width + 1;
    table.reserve(stride * (v.height + 1));
    table.clear(stride);
    for (int y = 0; y < v.height; ++y) {
      const uint8_t *row = images[k].rgba + static_cast<int64_t>(y) * v.width * 4;
      int32_t *above = table.data() + y * stride, *into = above + stride;
      int32_t sum = 0;
      into[0] = 0;
      for (int x = 0; x < v.width; ++x) {
        sum += row[4 * x + 3] != 0;
        into[x + 1] = above[x + 1] + sum;
      }
    }
    run_chunks(g, [&](int z, int) {
      for_cells(shape, z, [&](int64_t cell, const float p[3], float radius) {
        if (density[cell] < 0.0f)
          return;
        const Shadow s = shadow_of(v, p, radius, near * shape.half);
        if (!s.seen)
          return;
        const int32_t *top = table.data() + s.y0 * stride, *bottom = table.data() + s.y1 * stride;
        if (bottom[s.x1] - bottom[s.x0] - top[s.x1] + top[s.x0] == 0)
          density[cell] = -1.0f;
      });
    });
  }
}

// See FieldEngine::update_grid. Each cell is handled by one thread, whatever their number.
void update_grid(const FieldShape &shape, const FieldWeights &weights, float *density,
                 uint8_t *bits, const GridOptions &o, Space &space, Scratch *scratch) {
  const int g = shape.grid;
  const int64_t slab = static_cast<int64_t>(g) * g;
  Buffer<double> sums; // of opacity over the cells that are seen, and their number, for each slab
  sums.reserve(2 * g);
  run_chunks(g, [&](int z, int thread) {
    Scratch &s = scratch[thread];
    const double start = recon_cpu::thread_seconds();
    Block &block = s.block;
    int64_t cells[kRows];
    block.n = 0;
    double ignored[kStages] = {};
    auto flush = [&] {
      if (block.n == 0)
        return;
      evaluate_density(shape, weights, block, ignored);
      for (int i = 0; i < block.n; i += kLanes)
        density_activation(F8::load(block.raw + i)).store(block.opacity + i);
      for (int i = 0; i < block.n; ++i) {
        float &d = density[cells[i]];
        d = max_(d * o.decay, block.opacity[i]);
      }
      block.n = 0;
    };
    for (int y = 0; y < g; ++y)
      for (int x = 0; x < g; ++x) {
        const int64_t cell = z * slab + static_cast<int64_t>(y) * g + x;
        const uint32_t id = static_cast<uint32_t>(cell);
        if (!cell_is_due(o, id, occupied(bits, cell), density[cell]))
          continue;
        const int at = block.n++;
        const int corner[3] = {x, y, z};
        float u[3];
        point_in_cell(o, g, corner, id, u);
        for (int i = 0; i < 3; ++i)
          block.u[i][at] = u[i];
        block.dt[at] = o.shortest;
        cells[at] = cell;
        if (block.n == kRows)
          flush();
      }
    flush();
    double total = 0.0, count = 0.0;
    for (int y = 0; y < g; ++y)
      for (int x = 0; x < g; ++x) {
        const float d = density[z * slab + static_cast<int64_t>(y) * g + x];
        if (d >= 0.0f) {
          total += static_cast<double>(fog_opacity(d, o));
          count += 1.0;
        }
      }
    sums[2 * z] = total;
    sums[2 * z + 1] = count;
    s.seconds[kGrid] += recon_cpu::thread_seconds() - start;
  });
  double total = 0.0, count = 0.0;
  for (int z = 0; z < g; ++z) {
    total += sums[2 * z];
    count += sums[2 * z + 1];
  }
  const float mean = static_cast<float>(count > 0.0 ? total / count : 0.0);
  const float threshold = occupancy_threshold(o, mean);
  run_chunks(g, [&](int z, int) {
    for (int y = 0; y < g; ++y)
      for (int x = 0; x < g; x += 8) {
        const int64_t cell = z * slab + static_cast<int64_t>(y) * g + x;
        int byte = 0;
        for (int i = 0; i < 8; ++i) {
          const float d = density[cell + i];
          byte |= (d >= 0.0f && d * o.shortest * stretch_of_cell(shape, x + i, y, z) >= threshold)
                  << i;
        }
        bits[cell >> 3] = static_cast<uint8_t>(byte);
      }
  });
  set_occupancy(space, shape, bits);
}

RECON_END
