// The Python module recon.kernels._native. Arrays come as addresses: the Python side
// (recon/kernels/native_cpu.py) checks type, shape and contiguity, which costs less there than
// DLPack here for arrays that are passed on each training step.

#include "bind/field.h"
#include "bind/isa.h"
#include "bind/oracle.h"
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

AdamOptions adam_options(const std::vector<float> &rates, float beta1, float beta2, float epsilon,
                         int64_t step, bool update_sh, float opacity_reg, float scale_reg) {
  if (rates.size() != kRows)
    throw std::invalid_argument("one learning rate a row");
  AdamOptions o = {};
  for (int i = 0; i < kRows; ++i)
    o.learning_rate[i] = rates[static_cast<size_t>(i)];
  o.beta1 = beta1;
  o.beta2 = beta2;
  o.epsilon = epsilon;
  o.step = step;
  o.update_sh = update_sh;
  o.opacity_reg = opacity_reg;
  o.scale_reg = scale_reg;
  return o;
}

} // namespace

NB_MODULE(_native, m) {
  // Objects that live until the interpreter ends are not worth a warning.
  nb::set_leak_warnings(false);
  m.doc() = "Native CPU kernels of recon.";
  m.attr("BLOCK") = kBlock;
  m.attr("ROWS") = kRows;
  m.attr("TILE") = kTile;
  m.attr("NEAR") = recon::kNear;
  m.attr("BLUR") = recon::kBlur;
  m.attr("CLAMP_FOV") = recon::kClampFov;
  m.attr("COMPENSATION_FLOOR") = recon::kCompensationFloor;
  m.attr("ALPHA_MIN") = recon::kAlphaMin;
  m.attr("ALPHA_MAX") = recon::kAlphaMax;
  m.attr("T_MIN") = recon::kTransmittanceMin;

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

  nb::class_<View>(m, "View").def(
      "__init__", [](View *v, int width, int height, float fx, float fy, float cx, float cy,
                     const std::vector<float> &rotation, const std::vector<float> &translation) {
        if (rotation.size() != 9 || translation.size() != 3 || width < 1 || height < 1)
          throw std::invalid_argument("a view needs a positive size, 9 and 3 numbers");
        new (v) View{width, height, fx, fy, cx, cy, {}, {}};
        for (size_t i = 0; i < 9; ++i)
          v->rotation[i] = rotation[i];
        for (size_t i = 0; i < 3; ++i)
          v->translation[i] = translation[i];
      });

  nb::class_<RenderOptions>(m, "RenderOptions")
      .def("__init__", [](RenderOptions *o, float r, float g, float b, int sh_degree,
                          bool antialias, bool depth) {
        if (sh_degree < 0 || sh_degree > 3)
          throw std::invalid_argument("SH degree must be 0 to 3");
        new (o) RenderOptions{{r, g, b}, sh_degree, antialias, depth};
      });

  nb::class_<AdamOptions>(m, "AdamOptions").def(nb::new_(&adam_options));

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
  bind_oracle(m);
}
