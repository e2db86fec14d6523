#include "cuda/field/engine.h"
#include "host_exec/check.h"

using namespace recon_types;

namespace check {

namespace {

FieldShape small_shape(bool contracted) {
  FieldShape s = {};
  const int sides[kLevels] = {2, 3, 4, 6, 8, 12, 16, 24};
  constexpr int64_t kTable = 256;
  for (int l = 0; l < kLevels; ++l) {
    s.resolution[l] = sides[l];
    const int64_t vertices = int64_t{sides[l] + 1} * (sides[l] + 1) * (sides[l] + 1);
    s.dense[l] = vertices <= kTable;
    s.offset[l + 1] = s.offset[l] + (s.dense[l] ? vertices : kTable);
  }
  s.grid = 32;
  s.contracted = contracted;
  s.half = 1.0f;
  s.density_bias = 0.5f;
  return s;
}

std::vector<float> noise(size_t n, float size, uint32_t &seed) {
  std::vector<float> out(n);
  for (float &v : out)
    v = size * random_float(seed);
  return out;
}

} // namespace

bool run_field(int width, int height, int64_t samples, bool contracted) {
  uint32_t seed = 99;
  const FieldShape shape = small_shape(contracted);
  const auto entries = static_cast<size_t>(shape.offset[kLevels]);
  const auto cells = static_cast<size_t>(shape.grid) * 32 * 32;
  const auto pixels = static_cast<size_t>(width) * static_cast<size_t>(height);
  std::vector<float> record_values(entries * kRecord);
  for (size_t i = 0; i < entries; ++i)
    for (size_t k = 0; k < kFeatures; ++k)
      record_values[i * kRecord + k] = random_float(seed);
  Device<float> records(record_values), mlp(noise(kWeights, 0.3f, seed));
  Device<uint16_t> half(std::vector<uint16_t>(entries * kFeatures, 0x3000));
  const std::vector<float> zeros(kWeights);
  Device<float> first(zeros), second(zeros), exposure(std::vector<float>(3, 0.1f));
  Device<float> exposure1(std::vector<float>(3)), exposure2(std::vector<float>(3));
  Device<float> density(std::vector<float>(cells, 1.0f));
  Device<uint8_t> bits(std::vector<uint8_t>(cells / 8, 0x5a));
  Device<uint8_t> rgba(std::vector<uint8_t>(4 * pixels, 100));
  Device<uint8_t> weight(std::vector<uint8_t>(pixels, 200));
  const View view = {width, height, 9.0f, 9.0f, 6.0f, 3.0f, {1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 2}};
  const FieldState state = {records.data, half.data,     mlp.data,       first.data,
                            second.data,  exposure.data, exposure1.data, exposure2.data};
  const FieldWeights weights = {half.data, mlp.data};
  const MarchOptions march = {0.1f, 10.0f, 0.05f, 0.02f, 1e-3f, 1e-2f, 0.5f};
  StepOptions step = {7,     1,     37,    0.1f, 1e-2f, 1.0f,   true,  {},
                      1e-2f, 1e-2f, 1e-3f, 0.9f, 0.99f, 1e-15f, 1e-6f, 1e-4f};
  const auto across = static_cast<size_t>((width + kPhotoTile - 1) / kPhotoTile);
  const size_t tiles = across * static_cast<size_t>((height + kPhotoTile - 1) / kPhotoTile);
  std::vector<uint32_t> ends(tiles);
  for (size_t i = 0; i < tiles; ++i)
    ends[i] = static_cast<uint32_t>(0xffffffffull * (i + 1) / tiles);
  Device<uint32_t> share(ends);
  const FieldImage image = {rgba.data, weight.data, share.data, view};
  recon_cuda::FieldEngine engine(samples);
  engine.set_images(&image, 1, nullptr);
  engine.set_occupancy(shape, bits.data, nullptr);
  // More steps than may be under way, so that what they share is used again.
  for (step.step = 1; step.step <= recon_cuda::kStepsAhead + 3; ++step.step) {
    engine.train_step(shape, state, march, step, nullptr);
    if (step.step <= 2)
      engine.update_grid(shape, weights, density.data, bits.data,
                         {static_cast<uint32_t>(step.step), 2, 8, 0.9f, 0.05f, 0.01f}, nullptr);
    if (step.step > recon_cuda::kStepsAhead) {
      const recon_cuda::FieldResult result = engine.take_result();
      engine.make_room(result.samples, result.wanted_live);
    }
  }
  engine.drain(nullptr);

  const size_t rays = 5;
  Device<float> origin(noise(3 * rays, 1.0f, seed)), jitter(std::vector<float>(rays, 0.3f));
  Device<float> direction(std::vector<float>(3 * rays, 0.57735f));
  Device<float> target(std::vector<float>(4 * rays, 0.5f)), behind(noise(3 * rays, 0.5f, seed));
  Device<int32_t> photo(std::vector<int32_t>(rays, 0));
  Device<float> d_table(std::vector<float>(entries * kFeatures)), d_mlp(zeros);
  Device<float> d_exposure(std::vector<float>(3)), shown(std::vector<float>(3 * rays));
  engine.gradients(shape, state, march, step,
                   {static_cast<int64_t>(rays), origin.data, direction.data, jitter.data,
                    target.data, behind.data, photo.data},
                   d_table.data, d_mlp.data, d_exposure.data, shown.data, nullptr);
  Device<float> encoded(std::vector<float>(rays * kEncoded)), sigma{std::vector<float>(rays)};
  Device<float> rgb(std::vector<float>(3 * rays));
  engine.query(shape, weights, static_cast<int64_t>(rays), origin.data, direction.data,
               encoded.data, sigma.data, rgb.data, nullptr);
  Device<float> color(std::vector<float>(3 * pixels)), alpha{std::vector<float>(pixels)};
  Device<float> depth{std::vector<float>(pixels)};
  const float background[3] = {1.0f, 1.0f, 1.0f};
  engine.render(shape, weights, march, view, 0.5f, background, color.data, alpha.data, depth.data,
                nullptr);
  return all_finite(records) && all_finite(mlp) && all_finite(exposure) && all_finite(density) &&
         all_finite(d_table) && all_finite(d_mlp) && all_finite(d_exposure) && all_finite(shown) &&
         all_finite(encoded) && all_finite(sigma) && all_finite(rgb) && all_finite(color) &&
         all_finite(alpha) && all_finite(depth);
}

} // namespace check
