// The Python module recon.kernels._native. Arrays come as addresses: the Python side
// (recon/kernels/native_cpu.py) checks type, shape and contiguity, which costs less there than
// DLPack here for arrays that are passed on each training step.

#include "bind/field.h"
#include "bind/isa.h"
#include "bind/oracle.h"
#include "bind/sweep.h"
#include "bind/types.h"
#include "cpu/engine.h"
#include "cpu/threads.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace nb = nanobind;
using namespace recon_cpu;

namespace {

template <class T> T *at(uintptr_t address) { return reinterpret_cast<T *>(address); }

// Owns an engine; releases the GIL around all work.
struct PyEngine {
  std::unique_ptr<Engine> engine;
  std::string isa;

  explicit PyEngine(const std::string &wanted) {
    const Isa found = find_isa(wanted);
    engine.reset(found.create());
    isa = found.name;
  }
};

} // namespace

NB_MODULE(_native, m) {
  // Objects that live until the interpreter ends are not worth a warning.
  nb::set_leak_warnings(false);
  m.doc() = "Native CPU kernels of recon.";
  recon_bind::bind_types(m);

  m.def("instruction_sets", [] {
    std::vector<std::tuple<std::string, bool>> out;
    for (const Isa &isa : instruction_sets())
      out.emplace_back(isa.name, isa.supported);
    return out;
  });
  m.def("thread_count", &thread_count);
  m.def("set_thread_count", &set_thread_count);
  m.def(
      "gather_splats",
      [](uintptr_t in, uintptr_t sources, int64_t n, uintptr_t out) {
        gather_splats(at<const float>(in), at<const int64_t>(sources), n, at<float>(out));
      },
      nb::call_guard<nb::gil_scoped_release>());

  using Release = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<PyEngine>(m, "Engine")
      .def(nb::init<const std::string &>(), nb::arg("isa") = "")
      .def_ro("isa", &PyEngine::isa)
      .def(
          "forward",
          [](PyEngine &e, uintptr_t params, int64_t n, const View &view, const RenderOptions &o) {
            e.engine->forward(at<const float>(params), n, view, o);
          },
          Release())
      .def(
          "read",
          [](PyEngine &e, uintptr_t color, uintptr_t alpha, uintptr_t depth) {
            e.engine->read(at<float>(color), at<float>(alpha), at<float>(depth));
          },
          Release())
      .def(
          "loss",
          [](PyEngine &e, uintptr_t target, uintptr_t weight, float ssim_weight) {
            return e.engine->loss(at<const uint8_t>(target),
                                  LossOptions{ssim_weight, at<const uint8_t>(weight)});
          },
          Release())
      .def(
          "set_gradients",
          [](PyEngine &e, uintptr_t color, uintptr_t alpha, uintptr_t depth) {
            e.engine->set_gradients(at<const float>(color), at<const float>(alpha),
                                    at<const float>(depth));
          },
          Release())
      .def(
          "read_gradients",
          [](PyEngine &e, uintptr_t color) { e.engine->read_gradients(at<float>(color)); },
          Release())
      .def(
          "backward", [](PyEngine &e) { e.engine->backward(); }, Release())
      .def(
          "gradients",
          [](PyEngine &e, uintptr_t params, uintptr_t out) {
            e.engine->gradients(at<const float>(params), at<float>(out));
          },
          Release())
      .def(
          "adam",
          [](PyEngine &e, uintptr_t params, uintptr_t m1, uintptr_t m2, const AdamOptions &o,
             uintptr_t error, uintptr_t gradient, uintptr_t visible) {
            e.engine->adam(at<float>(params), at<float>(m1), at<float>(m2), o,
                           SplatStats{at<float>(error), at<float>(gradient), at<float>(visible)});
          },
          Release())
      .def(
          "read_footprints",
          [](PyEngine &e, uintptr_t out) { e.engine->read_footprints(at<float>(out)); }, Release())
      .def(
          "work",
          [](PyEngine &e) {
            const RasterWork w = e.engine->work();
            return std::make_tuple(w.lanes, w.evaluations);
          },
          Release())
      .def(
          "ceilings",
          [](PyEngine &e) {
            const Ceilings c = e.engine->ceilings();
            return std::make_tuple(c.fma_gflops, c.triad_gbs);
          },
          Release())
      .def("counts",
           [](PyEngine &e) {
             const Counts c = e.engine->counts();
             return std::make_tuple(c.visible, c.pairs, c.nonfinite);
           })
      .def("timings", [](PyEngine &e, bool reset) {
        const Timings t = e.engine->timings(reset);
        nb::dict out;
        out["project"] = t.project;
        out["sort"] = t.sort;
        out["bin"] = t.bin;
        out["raster_forward"] = t.raster_forward;
        out["loss"] = t.loss;
        out["raster_backward"] = t.raster_backward;
        out["splat_backward"] = t.splat_backward;
        return out;
      });

  bind_field(m);
  bind_sweep(m);
  bind_oracle(m);
}
