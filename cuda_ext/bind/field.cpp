// The CPU field engine in Python.

#include "bind/field.h"

#include "bind/field_types.h"
#include "bind/isa.h"
#include "cpu/field/field.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <vector>

namespace nb = nanobind;
using namespace recon_bind;
using namespace recon_cpu;

namespace {

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
  bind_field_types(m);
  using Release = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<PyFieldEngine>(m, "FieldEngine")
      .def(nb::init<const std::string &>(), nb::arg("isa") = "")
      .def_ro("isa", &PyFieldEngine::isa)
      .def("set_images",
           [](PyFieldEngine &e, const ImageList &images) {
             const std::vector<FieldImage> list = field_images(images);
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
          [](PyFieldEngine &e, const FieldShape &shape, const Addresses &state,
             const MarchOptions &march, const StepOptions &o) {
            return as_tuple(e.engine->train_step(shape, field_state(state), march, o));
          },
          Release())
      .def(
          "gradients",
          [](PyFieldEngine &e, const FieldShape &shape, const Addresses &state,
             const MarchOptions &march, const StepOptions &o, int64_t n, const Addresses &rays,
             const Addresses &out) {
            need(out.size() == 4, "four arrays of results");
            return as_tuple(e.engine->gradients(
                shape, field_state(state), march, o, ray_batch(n, rays), at<float>(out[0]),
                at<float>(out[1]), at<float>(out[2]), at<float>(out[3])));
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
             const MarchOptions &march, const View &view, float near,
             const std::vector<float> &background, uintptr_t color, uintptr_t alpha,
             uintptr_t depth) {
            need(background.size() == 3, "a background has three channels");
            e.engine->render(shape, {at<const uint16_t>(table), at<const float>(mlp)}, march, view,
                             near, background.data(), at<float>(color), at<float>(alpha),
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
