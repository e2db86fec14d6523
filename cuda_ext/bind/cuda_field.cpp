// The CUDA field engine in Python: the calls of the CPU's, with the stream as last argument.

#include "bind/cuda_field.h"

#include "bind/field_types.h"
#include "cuda/field/engine.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <vector>

namespace nb = nanobind;
using namespace recon_bind;
using namespace recon_cuda;
using namespace recon_types;

namespace {

// Loss, error, samples in front of the ends of rays, live samples; samples that were evaluated;
// whether there was room for all. Where there was none, the numbers of samples are those wanted.
std::tuple<double, double, int64_t, int64_t, int64_t, bool> result_tuple(const FieldResult &r) {
  return {r.loss, r.error, r.marched, r.wanted_live, r.samples, r.complete};
}

} // namespace

void bind_cuda_field(nb::module_ &m) {
  bind_field_types(m);
  m.attr("STEPS_AHEAD") = kStepsAhead;
  m.def(
      "field_engine_bytes",
      [](int64_t rays, int64_t samples, int64_t live, int64_t entries, int grid) {
        return field_engine_bytes({rays, samples, live, entries, grid});
      },
      nb::arg("rays"), nb::arg("samples"), nb::arg("live"), nb::arg("entries"), nb::arg("grid"));

  using Release = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<FieldEngine>(m, "FieldEngine")
      .def(nb::init<int64_t>(), nb::arg("samples"))
      .def("set_images",
           [](FieldEngine &e, const ImageList &images, uintptr_t stream) {
             const std::vector<FieldImage> list = field_images(images);
             e.set_images(list.data(), static_cast<int>(list.size()), at<void>(stream));
           })
      .def("set_occupancy",
           [](FieldEngine &e, const FieldShape &shape, uintptr_t bits, uintptr_t stream) {
             e.set_occupancy(shape, at<const uint8_t>(bits), at<void>(stream));
           })
      .def(
          "update_grid",
          [](FieldEngine &e, const FieldShape &shape, uintptr_t table, uintptr_t mlp,
             uintptr_t density, uintptr_t bits, const GridOptions &o, uintptr_t stream) {
            e.update_grid(shape, {at<const uint16_t>(table), at<const float>(mlp)},
                          at<float>(density), at<uint8_t>(bits), o, at<void>(stream));
          },
          Release())
      .def(
          "train_step",
          [](FieldEngine &e, const FieldShape &shape, const Addresses &state,
             const MarchOptions &march, const StepOptions &o, uintptr_t stream) {
            e.train_step(shape, field_state(state), march, o, at<void>(stream));
          },
          Release())
      .def(
          "take_result", [](FieldEngine &e) { return result_tuple(e.take_result()); }, Release())
      .def(
          "drain",
          [](FieldEngine &e, uintptr_t stream) {
            const FieldDrained d = e.drain(at<void>(stream));
            return std::make_tuple(d.loss_sum, d.losses, d.skipped);
          },
          Release())
      .def("set_room",
           [](FieldEngine &e, int64_t samples, int64_t live) { e.set_room({samples, live}); })
      .def("make_room", &FieldEngine::make_room)
      .def("room",
           [](const FieldEngine &e) { return std::make_tuple(e.room().samples, e.room().live); })
      .def(
          "gradients",
          [](FieldEngine &e, const FieldShape &shape, const Addresses &state,
             const MarchOptions &march, const StepOptions &o, int64_t n, const Addresses &rays,
             const Addresses &out, uintptr_t stream) {
            need(out.size() == 4, "four arrays of results");
            return result_tuple(e.gradients(shape, field_state(state), march, o, ray_batch(n, rays),
                                            at<float>(out[0]), at<float>(out[1]), at<float>(out[2]),
                                            at<float>(out[3]), at<void>(stream)));
          },
          Release())
      .def(
          "query",
          [](FieldEngine &e, const FieldShape &shape, uintptr_t table, uintptr_t mlp, int64_t n,
             uintptr_t points, uintptr_t directions, uintptr_t encoded, uintptr_t density,
             uintptr_t color, uintptr_t stream) {
            e.query(shape, {at<const uint16_t>(table), at<const float>(mlp)}, n,
                    at<const float>(points), at<const float>(directions), at<float>(encoded),
                    at<float>(density), at<float>(color), at<void>(stream));
          },
          Release())
      .def(
          "render",
          [](FieldEngine &e, const FieldShape &shape, uintptr_t table, uintptr_t mlp,
             const MarchOptions &march, const View &view, float near,
             const std::vector<float> &background, uintptr_t color, uintptr_t alpha,
             uintptr_t depth, uintptr_t stream) {
            need(background.size() == 3, "a background has three channels");
            e.render(shape, {at<const uint16_t>(table), at<const float>(mlp)}, march, view, near,
                     background.data(), at<float>(color), at<float>(alpha), at<float>(depth),
                     at<void>(stream));
          },
          Release())
      .def("allocated", &FieldEngine::allocated);
}
