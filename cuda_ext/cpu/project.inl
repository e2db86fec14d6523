// Per-splat forward pass: footprint and colour of every splat that the view sees.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

// Colour of 8 splats: max(0, 0.5 + sum_k sh_k Y_k).
RECON_FN void sh_color(const float *half, int degree, const F8 mean[3], const float centre[3],
                       F8 color[3]) {
  F8 direction[3], basis[16];
  view_direction(mean, centre, direction);
  sh_basis(degree, direction, basis);
  const int count = sh_count(degree);
  for (int c = 0; c < 3; ++c)
    color[c] = F8(0.5f);
  for (int k = 0; k < count; ++k)
    for (int c = 0; c < 3; ++c)
      color[c] += basis[k] * F8::loadu(half + (recon_cpu::kRowSh + 3 * k + c) * kBlock);
  for (int c = 0; c < 3; ++c)
    color[c] = max_(color[c], F8(0.0f));
}

// Projects one half block; writes the records of its visible lanes and returns their bits.
uint32_t project_half(const float *half, uint32_t first_id, int valid, const PinholeT<float> &cam,
                      const float centre[3], const recon_cpu::RenderOptions &options,
                      Record *records) {
  const Gaussian<F8> g = load_gaussian(half);
  const ProjectionState<F8> s = projection_state(g, cam, options.antialias);
  const Footprint<F8> f = footprint(s, cam);
  const Ellipse<F8> e = ellipse(f);
  const M8 seen = on_image(g, f, e, cam);
  uint32_t lanes = bits(seen) & ((1u << valid) - 1u);
  if (lanes == 0)
    return 0;

  F8 color[3];
  sh_color(half, options.sh_degree, g.mean, centre, color);
  const F8 *columns[16] = {&f.mean[0], &f.mean[1],    &e.a,        &e.b,     &e.c,  &e.log2_opacity,
                           &color[0],  &color[1],     &color[2],   &f.depth, &e.hx, &e.hy,
                           &e.shear,   &e.half_width, &e.dy_right, &e.inv_hy};
  alignas(32) float rows[16][kLanes];
  for (int i = 0; i < 16; ++i)
    columns[i]->store(rows[i]);
  for (uint32_t left = lanes; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    float *out = reinterpret_cast<float *>(records + first_id + lane);
    for (int i = 0; i < 16; ++i)
      out[i] = rows[i][lane];
  }
  return lanes;
}

} // namespace

void project(Frame &frame, const float *params) {
  const int64_t chunks = div_up(frame.blocks, kChunkBlocks);
  frame.records.reserve(frame.blocks * kBlock);
  frame.visible.reserve(frame.blocks);
  frame.chunk_count.reserve(chunks + 1);
  frame.keys.reserve(frame.blocks * kBlock);
  frame.keys2.reserve(frame.blocks * kBlock);
  const PinholeT<float> cam = pinhole_of(frame.view);
  float centre[3];
  frame.centre(centre);

  run_chunks(static_cast<int>(chunks), [&](int chunk, int) {
    const int64_t first = static_cast<int64_t>(chunk) * kChunkBlocks;
    const int64_t last = first + kChunkBlocks < frame.blocks ? first + kChunkBlocks : frame.blocks;
    uint64_t *keys = frame.keys2.data() + first * kBlock;
    uint32_t count = 0;
    for (int64_t block = first; block < last; ++block) {
      uint32_t seen = 0;
      for (int h = 0; h < 2; ++h) {
        const int64_t id = block * kBlock + h * kLanes;
        const int64_t valid = frame.n - id;
        if (valid <= 0)
          break;
        const float *half = params + block * kBlockFloats + h * kLanes;
        seen |= project_half(half, static_cast<uint32_t>(id),
                             valid < kLanes ? static_cast<int>(valid) : kLanes, cam, centre,
                             frame.options, frame.records.data())
                << (h * kLanes);
      }
      frame.visible[block] = static_cast<uint16_t>(seen);
      for (uint32_t left = seen; left != 0; left &= left - 1) {
        const uint32_t id = static_cast<uint32_t>(block * kBlock) + __builtin_ctz(left);
        uint32_t depth_bits; // positive floats order like their bits
        std::memcpy(&depth_bits, &frame.records[id].depth, 4);
        keys[count++] = static_cast<uint64_t>(depth_bits) << 32 | id;
      }
    }
    frame.chunk_count[chunk] = count;
  });

  int64_t total = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    std::memcpy(frame.keys.data() + total, frame.keys2.data() + chunk * kChunkSplats,
                frame.chunk_count[chunk] * sizeof(uint64_t));
    total += frame.chunk_count[chunk];
  }
  frame.visible_count = total;
}

RECON_END
