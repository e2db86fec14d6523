// Where rays take samples: through the cells that the occupancy grid holds, until they are opaque.

#include "cpu/field/state.h"

RECON_BEGIN

void encode(const FieldShape &shape, const uint16_t *table, const float *const u[3], int n,
            float *out);

// The distances at which samples may lie.
void set_march(Space &space, const MarchOptions &options) {
  if (space.count > 0 && std::memcmp(&space.options, &options, sizeof(options)) == 0)
    return;
  space.options = options;
  const int n = for_march_steps(options, [&](int i, float t, float dt) {
    space.t.reserve(i + 1 + kLanes, true);
    space.dt.reserve(i + 1 + kLanes, true);
    space.t[i] = t;
    space.dt[i] = dt;
  });
  space.t.reserve(n + 1 + kLanes, true);
  space.dt.reserve(n + 1 + kLanes, true);
  for (int i = n; i < n + kLanes; ++i) {
    space.t[i] = options.far;
    space.dt[i] = options.shortest;
  }
  space.count = n;
}

// Appends up to `most` samples of a ray to the block and moves the ray on. Returns how many; fewer
// than `most` when the ray has left the scene.
int march(const Space &space, const FieldShape &shape, RayState &ray, int index, int most,
          Block &block) {
  const int g = shape.grid, coarse = g / kCoarse;
  const F8 jitter(ray.jitter), side(static_cast<float>(g));
  const float reach = coarse_reach(shape);
  const MarchTable table = space.table();
  int n = 0;
  while (ray.k < ray.end && n < most) {
    {
      // Far from anything: several steps at once.
      const float t = space.t[ray.k] + ray.jitter * space.dt[ray.k];
      float p[3], u[3];
      for (int i = 0; i < 3; ++i)
        p[i] = ray.origin[i] + t * ray.direction[i];
      unit_from_box(shape.contracted, p, u);
      if (space.coarse[cell_at(u, coarse)] == 0) {
        const int steps = steps_at_once(table, ray.k, reach);
        if (steps > 0) {
          ray.k += steps;
          continue;
        }
      }
    }
    F8 p[3], u[3];
    const F8 t = F8::loadu(&space.t[ray.k]) + jitter * F8::loadu(&space.dt[ray.k]);
    for (int i = 0; i < 3; ++i)
      p[i] = F8(ray.origin[i]) + t * F8(ray.direction[i]);
    unit_from_box(shape.contracted, p, u);
    M8 inside = (u[0] >= F8(0.0f)) & (u[0] < F8(1.0f));
    vi8 cell[3];
    for (int i = 0; i < 3; ++i) {
      if (i > 0)
        inside = inside & (u[i] >= F8(0.0f)) & (u[i] < F8(1.0f));
      cell[i] = __builtin_convertvector((u[i] * side).v, vi8);
      cell[i] = cell[i] < g - 1 ? cell[i] : vi8{} + (g - 1);
    }
    uint32_t lanes = bits(inside);
    const int left = ray.end - ray.k;
    if (left < kLanes)
      lanes &= (1u << left) - 1;
    alignas(32) int32_t linear[kLanes];
    *reinterpret_cast<vi8 *>(linear) = (cell[2] * g + cell[1]) * g + cell[0];
    alignas(32) float ts[kLanes], us[3][kLanes];
    t.store(ts);
    for (int i = 0; i < 3; ++i)
      u[i].store(us[i]);
    int moved = kLanes;
    for (; lanes != 0; lanes &= lanes - 1) {
      const int lane = __builtin_ctz(lanes);
      if (!occupied(space.bits.data(), linear[lane]))
        continue;
      if (n == most) {
        moved = lane;
        break;
      }
      const int at = block.n + n++;
      block.t[at] = ts[lane];
      block.dt[at] = space.dt[ray.k + lane];
      for (int i = 0; i < 3; ++i)
        block.u[i][at] = us[i][lane];
      block.ray[at] = index;
    }
    ray.k += moved;
  }
  block.n += n;
  return n;
}

// Evaluates density at the block's samples: encoded, hidden, geometry, raw.
void evaluate_density(const FieldShape &shape, const FieldWeights &weights, Block &block,
                      double *seconds) {
  Lap lap(seconds);
  const float *const u[3] = {block.u[0], block.u[1], block.u[2]};
  encode(shape, weights.table, u, block.n, block.encoded);
  lap(kEncode);
  layer<kEncoded, kHidden, Finish::relu>(block.encoded, kEncoded,
                                         weights.mlp + recon_cpu::kDensity1, block.hidden, block.n);
  layer<kHidden, kGeometry, Finish::linear>(
      block.hidden, kHidden, weights.mlp + recon_cpu::kDensity2, block.geometry, block.n);
  for (int i = 0; i < block.n; ++i)
    block.raw[i] = block.geometry[i * kGeometry] + shape.density_bias;
  for (int i = 0; i < block.n; i += kLanes)
    opacity_of(density_activation(F8::load(block.raw + i)), F8::load(block.dt + i))
        .store(block.opacity + i);
  lap(kDensity);
}

// Follows rays 0 .. n-1 to their ends, block by block, and calls take(block) after each block with
// `weight` and `after` set. Samples of a ray come in order. Returns the number of samples.
template <class F>
int64_t trace(const Space &space, const FieldShape &shape, const FieldWeights &weights,
              RayState *rays, int n, Block &block, double *seconds, F &&take) {
  constexpr int kActive = 16, kLeast = 6;
  int active[kActive], count = 0, next = 0;
  int64_t total = 0;
  for (;;) {
    Lap lap(seconds);
    block.n = 0;
    while (count < kActive && next < n)
      active[count++] = next++;
    if (count == 0)
      return total;
    // Few samples of each ray at a time: those behind its end are evaluated for nothing.
    const int share = kRows / count < 16 ? kRows / count : 16;
    int kept = 0;
    for (int a = 0; a < count; ++a) {
      const int r = active[a];
      if (march(space, shape, rays[r], r, share, block) == share)
        active[kept++] = r;
      // Rays that left make room at once, so that blocks are full.
      while (a + 1 == count && kept < kActive && next < n && kRows - block.n >= kLeast) {
        const int room = kRows - block.n < share ? kRows - block.n : share;
        if (march(space, shape, rays[next], next, room, block) == room)
          active[kept++] = next;
        ++next;
      }
    }
    lap(kMarch);
    if (block.n > 0) {
      evaluate_density(shape, weights, block, seconds);
      Lap composite(seconds);
      for (int i = 0; i < block.n; ++i) {
        RayState &ray = rays[block.ray[i]];
        const float w = blend(block.opacity[i], space.options.min_transmittance, ray.transmittance);
        block.weight[i] = w > space.options.min_weight ? w : 0.0f;
        block.after[i] = ray.transmittance;
      }
      composite(kComposite);
      total += block.n;
      take(block);
    }
    count = 0;
    for (int a = 0; a < kept; ++a)
      if (rays[active[a]].transmittance >= space.options.min_transmittance)
        active[count++] = active[a];
  }
}

RECON_END
