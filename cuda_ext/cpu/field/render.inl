// Rendering a view: tiles of pixels, each followed to its end.

#include "cpu/field/state.h"

RECON_BEGIN

namespace {

// Colours of the block's samples that count, in the order of `rows`.
void block_color(const FieldWeights &weights, const Block &block, const int *rows, int n,
                 const float *ray_bias, float *memory, float *color) {
  using namespace recon_cpu;
  float *geometry = memory, *h2 = geometry + (kRows + kSparePad) * kGeometry;
  float *h3 = h2 + (kRows + kSparePad) * kHidden;
  const float *bias[kRows + kSparePad];
  for (int i = 0; i < n; ++i) {
    std::memcpy(geometry + i * kGeometry, block.geometry + rows[i] * kGeometry,
                kGeometry * sizeof(float));
    bias[i] = ray_bias + block.ray[rows[i]] * kHidden;
  }
  for (int i = n; i < n + kSparePad; ++i)
    bias[i] = ray_bias;
  layer<kGeometry, kHidden, Finish::relu, true>(geometry, kGeometry, weights.mlp + kColor1, h2, n,
                                                nullptr, bias);
  layer<kHidden, kHidden, Finish::relu>(h2, kHidden, weights.mlp + kColor2, h3, n);
  layer<kHidden, kOut, Finish::linear>(h3, kHidden, weights.mlp + kColor3, color, n);
  for (int i = 0; i < n; ++i)
    sigmoid(F8::loadu(color + i * kOut)).storeu(color + i * kOut);
}

} // namespace

// See FieldEngine::render.
void render_view(const Space &space, const FieldShape &shape, const FieldWeights &weights,
                 const recon_cpu::View &view, float near, const float background[3], float *color,
                 float *alpha, float *depth, Scratch *scratch) {
  using namespace recon_cpu;
  constexpr int kSide = 8, kPixels = kSide * kSide;
  const MarchTable table = space.table();
  const int tiles_x = static_cast<int>(div_up(view.width, kSide));
  const int tiles_y = static_cast<int>(div_up(view.height, kSide));
  run_chunks(tiles_x * tiles_y, [&](int tile, int thread) {
    Scratch &s = scratch[thread];
    const int x0 = tile % tiles_x * kSide, y0 = tile / tiles_x * kSide;
    const int w = view.width - x0 < kSide ? view.width - x0 : kSide;
    const int h = view.height - y0 < kSide ? view.height - y0 : kSide;
    const int n = w * h;
    RayState rays[kPixels];
    float z_share[kPixels], rgb[kPixels][3], sum_t[kPixels], sum_w[kPixels];
    alignas(32) float sphere[(kPixels + kSparePad) * kSphere];
    alignas(32) float ray_bias[(kPixels + kSparePad) * kHidden];
    alignas(32) float out[(kRows + kSparePad) * kOut];
    for (int i = 0; i < n; ++i) {
      z_share[i] = camera_ray(shape, view, static_cast<float>(x0 + i % w) + 0.5f,
                              static_cast<float>(y0 + i / w) + 0.5f, rays[i]);
      sh_basis(3, rays[i].direction, sphere + i * kSphere);
      rays[i].jitter = space.options.phase;
      start_ray(table, shape.contracted, rays[i], near / (shape.half * z_share[i]));
      rgb[i][0] = rgb[i][1] = rgb[i][2] = sum_t[i] = sum_w[i] = 0.0f;
    }
    layer<kSphere, kHidden, Finish::linear>(sphere, kSphere, weights.mlp + kColor1Sphere, ray_bias,
                                            n);
    trace(space, shape, weights, rays, n, s.block, s.seconds, [&](const Block &b) {
      Lap lap(s.seconds);
      int rows[kRows], count = 0;
      for (int i = 0; i < b.n; ++i)
        if (b.weight[i] > 0.0f)
          rows[count++] = i;
      if (count == 0)
        return;
      block_color(weights, b, rows, count, ray_bias, s.temporary.data(), out);
      lap(kColor);
      for (int i = 0; i < count; ++i) {
        const int row = rows[i], r = b.ray[row];
        for (int k = 0; k < 3; ++k)
          rgb[r][k] += b.weight[row] * out[i * kOut + k];
        sum_t[r] += b.weight[row] * b.t[row];
        sum_w[r] += b.weight[row];
      }
      lap(kComposite);
    });
    for (int i = 0; i < n; ++i) {
      const int64_t at = static_cast<int64_t>(y0 + i / w) * view.width + x0 + i % w;
      const float t = rays[i].transmittance;
      for (int k = 0; k < 3; ++k)
        color[3 * at + k] = rgb[i][k] + t * background[k];
      alpha[at] = 1.0f - t;
      if (depth != nullptr)
        depth[at] = sum_w[i] > 1e-6f ? sum_t[i] / sum_w[i] * shape.half * z_share[i] : 0.0f;
    }
  });
}

// See FieldEngine::query.
void query_points(const FieldShape &shape, const FieldWeights &weights, int64_t n,
                  const float *points, const float *directions, float *encoded, float *density,
                  float *color, Scratch *scratch) {
  using namespace recon_cpu;
  run_chunks(static_cast<int>(div_up(n, kRows)), [&](int chunk, int thread) {
    Scratch &s = scratch[thread];
    Block &b = s.block;
    const int64_t first = static_cast<int64_t>(chunk) * kRows;
    b.n = static_cast<int>(n - first < kRows ? n - first : kRows);
    alignas(32) float sphere[(kRows + kSparePad) * kSphere];
    alignas(32) float ray_bias[(kRows + kSparePad) * kHidden];
    alignas(32) float out[(kRows + kSparePad) * kOut];
    int rows[kRows];
    for (int i = 0; i < b.n; ++i) {
      float p[3], u[3];
      for (int k = 0; k < 3; ++k)
        p[k] = (points[3 * (first + i) + k] - shape.centre[k]) / shape.half;
      unit_from_box(shape.contracted, p, u);
      for (int k = 0; k < 3; ++k)
        b.u[k][i] = u[k];
      b.dt[i] = 0.0f;
      b.ray[i] = rows[i] = i;
    }
    evaluate_density(shape, weights, b, s.seconds);
    for (int i = 0; i < b.n; ++i) {
      if (encoded != nullptr)
        std::memcpy(encoded + (first + i) * kEncoded, b.encoded + i * kEncoded,
                    kEncoded * sizeof(float));
      if (density != nullptr)
        density[first + i] = density_activation(b.raw[i]) / shape.half;
    }
    if (color == nullptr || directions == nullptr)
      return;
    for (int i = 0; i < b.n; ++i)
      sh_basis(3, directions + 3 * (first + i), sphere + i * kSphere);
    layer<kSphere, kHidden, Finish::linear>(sphere, kSphere, weights.mlp + kColor1Sphere, ray_bias,
                                            b.n);
    block_color(weights, b, rows, b.n, ray_bias, s.temporary.data(), out);
    for (int i = 0; i < b.n; ++i)
      for (int k = 0; k < 3; ++k)
        color[3 * (first + i) + k] = out[i * kOut + k];
  });
}

RECON_END
