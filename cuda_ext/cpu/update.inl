// Per-splat backward pass: from the sums over pixels to parameter gradients, and Adam in the same
// pass, for the splats that the view saw.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

struct HalfGradients {
  Gaussian<F8> shape;
  F8 color[3];        // d(loss)/d(colour before the clamp at 0)
  F8 basis[16];       // SH basis at the splat's direction
  F8 error, gradient; // statistics
  M8 finite;
};

// Gradients of the visible lanes of half a block; other lanes are 0.
RECON_FN void half_gradients(const Frame &frame, const PinholeT<float> &cam, const float centre[3],
                             const float *half, int64_t first_id, uint32_t lanes,
                             HalfGradients &out) {
  // Sums and footprints of the visible lanes, transposed to rows; quiet values elsewhere.
  alignas(32) float rows[kSums][kLanes] = {};
  alignas(32) float active[3][kLanes] = {}; // 1 where the colour is not clamped
  for (uint32_t left = lanes; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const int64_t id = first_id + lane;
    vf4 s0 = {0, 0, 0, 0}, s1 = s0, s2 = s0;
    const float *p = frame.sums.data() + static_cast<int64_t>(frame.slot_begin[id]) * kSums;
    for (uint32_t i = 0; i < frame.slot_count[id]; ++i, p += kSums) {
      s0 += *reinterpret_cast<const vf4u *>(p);
      s1 += *reinterpret_cast<const vf4u *>(p + 4);
      s2 += *reinterpret_cast<const vf4u *>(p + 8);
    }
    for (int i = 0; i < 4; ++i) {
      rows[i][lane] = s0[i];
      rows[4 + i][lane] = s1[i];
      rows[8 + i][lane] = s2[i];
    }
    for (int c = 0; c < 3; ++c)
      active[c][lane] = frame.records[id].color[c] > 0.0f ? 1.0f : 0.0f;
  }

  const Gaussian<F8> g = load_gaussian(half);
  const bool antialias = frame.options.antialias;
  const ProjectionState<F8> state = projection_state(g, cam, antialias);
  const Footprint<F8> f = footprint(state, cam);
  F8 s[kSums];
  for (int i = 0; i < kSums; ++i)
    s[i] = F8::load(rows[i]);
  const Footprint<F8> df = footprint_gradient(f, s);
  out.shape = projection_vjp(state, cam, antialias, df);

  F8 direction[3], weights[16], g_direction[3], g_mean[3];
  const F8 inv_distance = view_direction(g.mean, centre, direction);
  const int degree = frame.options.sh_degree, count = sh_count(degree);
  sh_basis(degree, direction, out.basis);
  for (int c = 0; c < 3; ++c)
    out.color[c] = s[kSr + c] * F8::load(active[c]);
  if (degree > 0) {
    for (int k = 0; k < count; ++k) {
      weights[k] = F8(0.0f);
      for (int c = 0; c < 3; ++c)
        weights[k] += out.color[c] * F8::loadu(half + (recon_cpu::kRowSh + 3 * k + c) * kBlock);
    }
    sh_basis_vjp(degree, direction, weights, g_direction);
    view_direction_vjp(direction, inv_distance, g_direction, g_mean);
    for (int i = 0; i < 3; ++i)
      out.shape.mean[i] += g_mean[i];
  }
  out.error = s[kSerror];
  const F8 gx = df.mean[0] * F8(0.5f * cam.width), gy = df.mean[1] * F8(0.5f * cam.height);
  out.gradient = sqrt_(gx * gx + gy * gy);

  // Gradients that are not finite are dropped, and counted by the caller.
  const F8 colors = (out.color[0] + out.color[1] + out.color[2]) * F8(0.0f);
  M8 seen;
  for (int l = 0; l < kLanes; ++l)
    seen.v[l] = (lanes >> l & 1) ? -1 : 0;
  const M8 keep = all_finite(out.shape) & (colors >= F8(0.0f)) & seen;
  for (int i = 0; i < 3; ++i) {
    out.shape.mean[i] = mask(keep, out.shape.mean[i]);
    out.shape.log_scale[i] = mask(keep, out.shape.log_scale[i]);
    out.color[i] = mask(keep, out.color[i]);
  }
  for (int i = 0; i < 4; ++i)
    out.shape.quat[i] = mask(keep, out.shape.quat[i]);
  out.shape.logit_opacity = mask(keep, out.shape.logit_opacity);
  out.finite = keep;
}

// Calls f(half pointer offset, gradients) for each half block with visible splats; counts those
// dropped because they were not finite.
template <class F> int64_t for_visible_halves(const Frame &frame, const float *params, F &&f) {
  const PinholeT<float> cam = pinhole_of(frame.view);
  float centre[3];
  frame.centre(centre);
  const int chunks = static_cast<int>(div_up(frame.blocks, kChunkBlocks));
  int64_t dropped = 0;
  run_chunks(chunks, [&](int chunk, int) {
    const int64_t first = static_cast<int64_t>(chunk) * kChunkBlocks;
    const int64_t last = first + kChunkBlocks < frame.blocks ? first + kChunkBlocks : frame.blocks;
    HalfGradients g;
    int64_t bad = 0;
    for (int64_t block = first; block < last; ++block)
      for (int h = 0; h < 2; ++h) {
        const uint32_t lanes = frame.visible[block] >> (h * kLanes) & 0xff;
        if (lanes == 0)
          continue;
        const int64_t offset = block * kBlockFloats + h * kLanes;
        half_gradients(frame, cam, centre, params + offset, block * kBlock + h * kLanes, lanes, g);
        bad += __builtin_popcount(lanes & ~bits(g.finite));
        f(offset, block * kBlock + h * kLanes, g);
      }
    if (bad != 0)
      __atomic_fetch_add(&dropped, bad, __ATOMIC_RELAXED);
  });
  return dropped;
}

RECON_FN void adam_row(const AdamScalars<F8> &a, float rate, M8 seen, F8 g, float *p, float *m,
                       float *v) {
  const F8 m0 = F8::loadu(m), v0 = F8::loadu(v), p0 = F8::loadu(p);
  F8 m1 = m0, v1 = v0, p1 = p0;
  adam_update(a, F8(rate), g, p1, m1, v1);
  select(seen, m1, m0).storeu(m);
  select(seen, v1, v0).storeu(v);
  select(seen, p1, p0).storeu(p);
}

} // namespace

int64_t splat_gradients(const Frame &frame, const float *params, float *out) {
  std::memset(out, 0, static_cast<size_t>(frame.blocks * kBlockFloats) * sizeof(float));
  return for_visible_halves(frame, params, [&](int64_t offset, int64_t, const HalfGradients &g) {
    float *o = out + offset;
    for (int i = 0; i < 3; ++i)
      g.shape.mean[i].storeu(o + (recon_cpu::kRowMean + i) * kBlock);
    for (int i = 0; i < 4; ++i)
      g.shape.quat[i].storeu(o + (recon_cpu::kRowQuat + i) * kBlock);
    for (int i = 0; i < 3; ++i)
      g.shape.log_scale[i].storeu(o + (recon_cpu::kRowLogScale + i) * kBlock);
    g.shape.logit_opacity.storeu(o + recon_cpu::kRowOpacity * kBlock);
    const int count = sh_count(frame.options.sh_degree);
    for (int k = 0; k < count; ++k)
      for (int c = 0; c < 3; ++c)
        (g.basis[k] * g.color[c]).storeu(o + (recon_cpu::kRowSh + 3 * k + c) * kBlock);
  });
}

int64_t splat_adam(const Frame &frame, float *params, float *m, float *v,
                   const recon_cpu::AdamOptions &options, const recon_cpu::SplatStats &stats) {
  AdamScalars<F8> a;
  a.beta1 = F8(options.beta1);
  a.beta2 = F8(options.beta2);
  a.rest1 = F8(1.0f - options.beta1);
  a.rest2 = F8(1.0f - options.beta2);
  a.correction1 = F8(1.0 / (1.0 - __builtin_pow(options.beta1, options.step)));
  a.correction2 = F8(1.0 / (1.0 - __builtin_pow(options.beta2, options.step)));
  a.epsilon = F8(options.epsilon);
  const float *rate = options.learning_rate;
  const F8 opacity_reg(options.opacity_reg / static_cast<float>(frame.n));
  const F8 scale_reg(options.scale_reg / (3.0f * static_cast<float>(frame.n)));
  const int count = options.update_sh ? sh_count(frame.options.sh_degree) : 1;

  return for_visible_halves(
      frame, params, [&](int64_t offset, int64_t first_id, const HalfGradients &g) {
        float *p = params + offset, *pm = m + offset, *pv = v + offset;
        auto row = [&](int r, F8 gradient) {
          adam_row(a, rate[r], g.finite, gradient, p + r * kBlock, pm + r * kBlock,
                   pv + r * kBlock);
        };
        const F8 one(1.0f);
        const F8 opacity = one / (one + exp_(-F8::loadu(p + recon_cpu::kRowOpacity * kBlock)));
        for (int i = 0; i < 3; ++i)
          row(recon_cpu::kRowMean + i, g.shape.mean[i]);
        for (int i = 0; i < 4; ++i)
          row(recon_cpu::kRowQuat + i, g.shape.quat[i]);
        for (int i = 0; i < 3; ++i) {
          const int r = recon_cpu::kRowLogScale + i;
          row(r, g.shape.log_scale[i] + scale_reg * exp_(F8::loadu(p + r * kBlock)));
        }
        row(recon_cpu::kRowOpacity,
            g.shape.logit_opacity + opacity_reg * opacity * (one - opacity));
        for (int k = 0; k < count; ++k)
          for (int c = 0; c < 3; ++c)
            row(recon_cpu::kRowSh + 3 * k + c, g.basis[k] * g.color[c]);

        const F8 add[3] = {g.error, g.gradient, one};
        float *const to[3] = {stats.error, stats.gradient, stats.visible};
        for (int i = 0; i < 3; ++i)
          if (to[i] != nullptr) {
            alignas(32) float value[kLanes];
            mask(g.finite, add[i]).store(value);
            for (int l = 0; l < kLanes && first_id + l < frame.n; ++l)
              to[i][first_id + l] += value[l];
          }
      });
}

RECON_END
