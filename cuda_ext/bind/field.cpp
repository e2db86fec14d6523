// The field engine in Python. Arrays come as addresses that recon/kernels/native_field.py checked.

#include "bind/field.h"

#include "bind/isa.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace nb = nanobind;
using namespace recon_cpu;

namespace {

template <class T> T *at(uintptr_t address) { return reinterpret_cast<T *>(address); }

using Floats = std::vector<float>;

void need(bool fine, const char *what) {
  if (!fine)
    throw std::invalid_argument(what);
}

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
  s.active = kLevels;
  return s;
}

// Addresses of what training changes, in the order of the fields of FieldState.
FieldState field_state(const std::vector<uintptr_t> &a) {
  need(a.size() == 8, "eight arrays");
  return {at<float>(a[0]), at<uint16_t>(a[1]), at<float>(a[2]), at<float>(a[3]),
          at<float>(a[4]), at<float>(a[5]),    at<float>(a[6]), at<float>(a[7])};
}

std::tuple<double, double, int64_t, int64_t> as_tuple(const StepResult &r) {
  return {r.loss, r.error, r.marched, r.live};
}

struct PyFieldEngine {
  std::unique_ptr<FieldEngine> engine;
  std::string isa;

  explicit PyFieldEngine(const std::string &wanted) {
    const Isa found = find_isa(wanted);
    engine.reset(found.create_field());
    isa = found.name;
  }
};

} // namespace

void bind_field(nb::module_ &m) {
  m.attr("LEVELS") = kLevels;
  m.attr("FEATURES") = kFeatures;
  m.attr("HIDDEN") = kHidden;
  m.attr("GEOMETRY") = kGeometry;
  m.attr("SPHERE") = kSphere;
  m.attr("COLOR_OUT") = kOut;
  m.attr("RECORD") = kRecord;
  m.attr("WEIGHTS") = kWeights;

  nb::class_<FieldShape>(m, "FieldShape")
      .def(nb::new_(&field_shape), nb::arg("resolution"), nb::arg("log2_table"), nb::arg("grid"),
           nb::arg("contracted"), nb::arg("centre"), nb::arg("half"), nb::arg("density_bias"))
      .def_prop_rw(
          "active", [](const FieldShape &s) { return s.active; },
          [](FieldShape &s, int levels) {
            need(levels >= 1 && levels <= kLevels, "one level at least must be in use");
            s.active = levels;
          })
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
             float min_transmittance) {
            need(near >= 0.0f && far > near && shortest > 0.0f && cone >= 0.0f,
                 "marching needs 0 <= near < far and positive steps");
            std::memset(o, 0, sizeof(*o));
            *o = {near, far, shortest, cone, min_weight, min_transmittance};
          },
          nb::arg("near"), nb::arg("far"), nb::arg("shortest"), nb::arg("cone"),
          nb::arg("min_weight"), nb::arg("min_transmittance"));

  nb::class_<StepOptions>(m, "StepOptions")
      .def(
          "__init__",
          [](StepOptions *o, uint32_t seed, int64_t step, int rays, float huber_delta,
             bool random_background, const Floats &background, const Floats &rates,
             const Floats &adam, float mlp_decay, float exposure_decay) {
            need(step >= 1 && rays >= 1 && background.size() == 3 && rates.size() == 3 &&
                     adam.size() == 3,
                 "a step needs a number, rays, a background, three rates and Adam's settings");
            *o = {seed,
                  step,
                  rays,
                  huber_delta,
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
          nb::arg("random_background"), nb::arg("background"), nb::arg("rates"), nb::arg("adam"),
          nb::arg("mlp_decay"), nb::arg("exposure_decay"));

  nb::class_<GridOptions>(m, "GridOptions")
      .def(
          "__init__",
          [](GridOptions *o, uint32_t seed, int occupied_every, int all_every, float decay,
             float shortest, float threshold) {
            *o = {seed, occupied_every, all_every, decay, shortest, threshold};
          },
          nb::arg("seed"), nb::arg("occupied_every"), nb::arg("all_every"), nb::arg("decay"),
          nb::arg("shortest"), nb::arg("threshold"));

  using Release = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<PyFieldEngine>(m, "FieldEngine")
      .def(nb::init<const std::string &>(), nb::arg("isa") = "")
      .def_ro("isa", &PyFieldEngine::isa)
      .def("set_images",
           [](PyFieldEngine &e,
              const std::vector<std::tuple<uintptr_t, uintptr_t, const View *>> &images) {
             std::vector<FieldImage> list;
             for (const auto &[rgba, weight, view] : images)
               list.push_back({at<const uint8_t>(rgba), at<const uint8_t>(weight), *view});
             need(!list.empty(), "training needs photos");
             e.engine->set_images(list.data(), static_cast<int>(list.size()));
           })
      .def(
          "mark_visible",
          [](PyFieldEngine &e, const FieldShape &shape, float near, bool carve, uintptr_t density) {
            e.engine->mark_visible(shape, near, carve, at<float>(density));
          },
          Release())
      .def("set_occupancy",
           [](PyFieldEngine &e, const FieldShape &shape, uintptr_t bits) {
             e.engine->set_occupancy(shape, at<const uint8_t>(bits));
           })
      .def(
          "update_grid",
          [](PyFieldEngine &e, const FieldShape &shape, uintptr_t table, uintptr_t mlp,
             uintptr_t density, uintptr_t bits, const GridOptions &o) {
            e.engine->update_grid(shape, {at<const uint16_t>(table), at<const float>(mlp)},
                                  at<float>(density), at<uint8_t>(bits), o);
          },
          Release())
      .def(
          "train_step",
          [](PyFieldEngine &e, const FieldShape &shape, const std::vector<uintptr_t> &state,
             const MarchOptions &march, const StepOptions &o) {
            return as_tuple(e.engine->train_step(shape, field_state(state), march, o));
          },
          Release())
      .def(
          "gradients",
          [](PyFieldEngine &e, const FieldShape &shape, const std::vector<uintptr_t> &state,
             const MarchOptions &march, const StepOptions &o, int64_t n,
             const std::vector<uintptr_t> &rays, const std::vector<uintptr_t> &out) {
            need(rays.size() == 6 && out.size() == 4, "six arrays of rays, four of results");
            const RayBatch batch = {n,
                                    at<const float>(rays[0]),
                                    at<const float>(rays[1]),
                                    at<const float>(rays[2]),
                                    at<const float>(rays[3]),
                                    at<const float>(rays[4]),
                                    at<const int32_t>(rays[5])};
            return as_tuple(e.engine->gradients(shape, field_state(state), march, o, batch,
                                                at<float>(out[0]), at<float>(out[1]),
                                                at<float>(out[2]), at<float>(out[3])));
          },
          Release())
      .def(
          "query",
          [](PyFieldEngine &e, const FieldShape &shape, uintptr_t table, uintptr_t mlp, int64_t n,
             uintptr_t points, uintptr_t directions, uintptr_t encoded, uintptr_t density,
             uintptr_t color) {
            e.engine->query(shape, {at<const uint16_t>(table), at<const float>(mlp)}, n,
                            at<const float>(points), at<const float>(directions),
                            at<float>(encoded), at<float>(density), at<float>(color));
          },
          Release())
      .def(
          "render",
          [](PyFieldEngine &e, const FieldShape &shape, uintptr_t table, uintptr_t mlp,
             const MarchOptions &march, const View &view, const Floats &background, uintptr_t color,
             uintptr_t alpha, uintptr_t depth) {
            need(background.size() == 3, "a background has three channels");
            e.engine->render(shape, {at<const uint16_t>(table), at<const float>(mlp)}, march, view,
                             background.data(), at<float>(color), at<float>(alpha),
                             at<float>(depth));
          },
          Release())
      .def("timings", [](PyFieldEngine &e, bool reset) {
        const FieldTimings t = e.engine->timings(reset);
        nb::dict out;
        out["march"] = t.march;
        out["encode"] = t.encode;
        out["density"] = t.density;
        out["color"] = t.color;
        out["composite"] = t.composite;
        out["backward"] = t.backward;
        out["scatter"] = t.scatter;
        out["adam"] = t.adam;
        out["grid"] = t.grid;
        return out;
      });
}
