#include "bind/field_types.h"

#include <nanobind/stl/vector.h>

#include <cstring>

namespace nb = nanobind;
using namespace recon_types;
using recon_bind::need;

namespace {

using Floats = std::vector<float>;

FieldShape field_shape(const std::vector<int> &resolution, int log2_table, int grid,
                       bool contracted, const Floats &centre, float half, float density_bias) {
  need(resolution.size() == kLevels, "one resolution a level");
  need(centre.size() == 3 && half > 0.0f, "a box has a centre and a positive size");
  need(log2_table >= 4 && log2_table <= 24, "the table must have 2^4 to 2^24 entries");
  need(grid >= 32 && grid <= 512 && grid % 32 == 0, "the grid must have 32 to 512 cells a side");
  FieldShape s = {};
  int64_t total = 0;
  for (size_t l = 0; l < kLevels; ++l) {
    need(resolution[l] >= 1 && resolution[l] <= 1 << 20, "resolutions must be 1 to 2^20");
    s.resolution[l] = resolution[l];
    s.offset[l] = total;
    const int64_t side = resolution[l] + 1, table = int64_t(1) << log2_table;
    s.dense[l] = side <= 4096 && side * side * side <= table;
    total += s.dense[l] ? side * side * side : table;
  }
  s.offset[kLevels] = total;
  s.grid = grid;
  s.contracted = contracted;
  for (size_t i = 0; i < 3; ++i)
    s.centre[i] = centre[i];
  s.half = half;
  s.density_bias = density_bias;
  return s;
}

} // namespace

FieldState recon_bind::field_state(const Addresses &a) {
  need(a.size() == 8, "eight arrays");
  return {at<float>(a[0]), at<uint16_t>(a[1]), at<float>(a[2]), at<float>(a[3]),
          at<float>(a[4]), at<float>(a[5]),    at<float>(a[6]), at<float>(a[7])};
}

RayBatch recon_bind::ray_batch(int64_t n, const Addresses &a) {
  need(a.size() == 6, "six arrays of rays");
  return {n,
          at<const float>(a[0]),
          at<const float>(a[1]),
          at<const float>(a[2]),
          at<const float>(a[3]),
          at<const float>(a[4]),
          at<const int32_t>(a[5])};
}

std::tuple<double, double, int64_t, int64_t> recon_bind::as_tuple(const StepResult &r) {
  return {r.loss, r.error, r.marched, r.live};
}

std::vector<FieldImage> recon_bind::field_images(const ImageList &images) {
  need(!images.empty(), "training needs photos");
  std::vector<FieldImage> list;
  for (const auto &[rgba, weight, share, view] : images)
    list.push_back(
        {at<const uint8_t>(rgba), at<const uint8_t>(weight), at<const uint32_t>(share), *view});
  return list;
}

void recon_bind::bind_field_types(nb::module_ &m) {
  m.attr("LEVELS") = kLevels;
  m.attr("FEATURES") = kFeatures;
  m.attr("HIDDEN") = kHidden;
  m.attr("GEOMETRY") = kGeometry;
  m.attr("SPHERE") = kSphere;
  m.attr("COLOR_OUT") = kOut;
  m.attr("RECORD") = kRecord;
  m.attr("PHOTO_TILE") = kPhotoTile;
  m.attr("WEIGHTS") = kWeights;

  nb::class_<FieldShape>(m, "FieldShape")
      .def(nb::new_(&field_shape), nb::arg("resolution"), nb::arg("log2_table"), nb::arg("grid"),
           nb::arg("contracted"), nb::arg("centre"), nb::arg("half"), nb::arg("density_bias"))
      .def_ro("half", &FieldShape::half)
      .def_ro("grid", &FieldShape::grid)
      .def_ro("contracted", &FieldShape::contracted)
      .def_prop_ro("offsets",
                   [](const FieldShape &s) {
                     return std::vector<int64_t>(s.offset, s.offset + kLevels + 1);
                   })
      .def_prop_ro("dense", [](const FieldShape &s) {
        return std::vector<bool>(s.dense, s.dense + kLevels);
      });

  nb::class_<MarchOptions>(m, "MarchOptions")
      .def(
          "__init__",
          [](MarchOptions *o, float near, float far, float shortest, float cone, float min_weight,
             float min_transmittance, float phase) {
            need(near >= 0.0f && far > near && shortest > 0.0f && cone >= 0.0f,
                 "marching needs 0 <= near < far and positive steps");
            need(phase >= 0.0f && phase <= 1.0f, "samples must lie in their steps");
            std::memset(o, 0, sizeof(*o));
            *o = {near, far, shortest, cone, min_weight, min_transmittance, phase};
          },
          nb::arg("near"), nb::arg("far"), nb::arg("shortest"), nb::arg("cone"),
          nb::arg("min_weight"), nb::arg("min_transmittance"), nb::arg("phase"));

  nb::class_<StepOptions>(m, "StepOptions")
      .def(
          "__init__",
          [](StepOptions *o, uint32_t seed, int64_t step, int rays, float huber_delta,
             float distortion, float spread, bool random_background, const Floats &background,
             const Floats &rates, const Floats &adam, float mlp_decay, float exposure_decay) {
            need(step >= 1 && rays >= 1 && background.size() == 3 && rates.size() == 3 &&
                     adam.size() == 3,
                 "a step needs a number, rays, a background, three rates and Adam's settings");
            need(spread >= 0.0f && spread <= 1.0f, "rays must go through their pixel");
            *o = {seed,
                  step,
                  rays,
                  huber_delta,
                  distortion,
                  spread,
                  random_background,
                  {background[0], background[1], background[2]},
                  rates[0],
                  rates[1],
                  rates[2],
                  adam[0],
                  adam[1],
                  adam[2],
                  mlp_decay,
                  exposure_decay};
          },
          nb::arg("seed"), nb::arg("step"), nb::arg("rays"), nb::arg("huber_delta"),
          nb::arg("distortion"), nb::arg("spread"), nb::arg("random_background"),
          nb::arg("background"), nb::arg("rates"), nb::arg("adam"), nb::arg("mlp_decay"),
          nb::arg("exposure_decay"));

  nb::class_<GridOptions>(m, "GridOptions")
      .def(
          "__init__",
          [](GridOptions *o, uint32_t seed, int occupied_every, int all_every, float decay,
             float shortest, float threshold) {
            *o = {seed, occupied_every, all_every, decay, shortest, threshold};
          },
          nb::arg("seed"), nb::arg("occupied_every"), nb::arg("all_every"), nb::arg("decay"),
          nb::arg("shortest"), nb::arg("threshold"));
}
