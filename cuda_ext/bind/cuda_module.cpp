// The Python module recon.kernels._native_cuda, and for tests recon.kernels._host_cuda: the same
// engine with its kernels run on the CPU (see host_exec/). Arrays come as addresses of device
// memory: the Python side (recon/kernels/native_cuda.py) checks type, shape, device and contiguity.

#include "bind/cuda_field.h"
#include "bind/types.h"
#include "cuda/engine.h"

#if defined(RECON_HOST_EXEC)
#include "host_exec/executor.h"
#include "host_exec/planted.h"
#endif

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>

namespace nb = nanobind;
using namespace recon_cuda;

namespace {

template <class T> T *at(uintptr_t address) { return reinterpret_cast<T *>(address); }
Stream stream_of(uintptr_t handle) { return reinterpret_cast<Stream>(handle); }

} // namespace

NB_MODULE(RECON_MODULE, m) {
  nb::set_leak_warnings(false);
  m.doc() = "CUDA kernels of recon.";
  nb::exception<OutOfDeviceMemory>(m, "OutOfDeviceMemory");
  recon_bind::bind_types(m);
  bind_cuda_field(m);

  m.def("device_count", &device_count);
  m.def("device_problem", [] { return std::string(device_problem()); });
  m.def("device_name", [](int index) {
    char name[512] = "";
    device_name(index, name, sizeof(name));
    return std::string(name);
  });
  m.def("memory", [] {
    const MemoryInfo info = memory_info();
    return std::make_tuple(info.free, info.total);
  });
  m.def("engine_bytes",
        [](int64_t splats, int64_t pairs, int width, int height, bool depth, bool training) {
          return engine_bytes({splats, pairs, width, height, depth, training});
        });
#if defined(RECON_HOST_EXEC)
  m.def("set_order", &host_exec::set_order);
  m.def("run_planted", &host_exec::run_planted);
  m.def("waits", [] {
    const host_exec::Waits w = host_exec::waits();
    return std::make_tuple(w.device, w.events);
  });
#endif

  using Release = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<Engine>(m, "Engine")
      .def(nb::init<int64_t>())
      .def(
          "forward",
          [](Engine &e, uintptr_t params, int64_t n, const recon_types::View &view,
             const recon_types::RenderOptions &o, bool training, uintptr_t stream) {
            e.forward(at<const float>(params), n, view, o, training, stream_of(stream));
          },
          Release())
      .def(
          "read",
          [](Engine &e, uintptr_t color, uintptr_t alpha, uintptr_t depth, uintptr_t stream) {
            e.read(at<float>(color), at<float>(alpha), at<float>(depth), stream_of(stream));
          },
          Release())
      .def(
          "loss",
          [](Engine &e, uintptr_t target, uintptr_t weight, float ssim_weight, uintptr_t stream) {
            e.loss(at<const uint8_t>(target), {ssim_weight, at<const uint8_t>(weight)},
                   stream_of(stream));
          },
          Release())
      .def(
          "set_gradients",
          [](Engine &e, uintptr_t color, uintptr_t alpha, uintptr_t depth, uintptr_t stream) {
            e.set_gradients(at<const float>(color), at<const float>(alpha), at<const float>(depth),
                            stream_of(stream));
          },
          Release())
      .def(
          "read_gradients",
          [](Engine &e, uintptr_t color, uintptr_t stream) {
            e.read_gradients(at<float>(color), stream_of(stream));
          },
          Release())
      .def(
          "backward", [](Engine &e, uintptr_t stream) { e.backward(stream_of(stream)); }, Release())
      .def(
          "gradients",
          [](Engine &e, uintptr_t params, uintptr_t out, uintptr_t stream) {
            e.gradients(at<const float>(params), at<float>(out), stream_of(stream));
          },
          Release())
      .def(
          "adam",
          [](Engine &e, uintptr_t params, uintptr_t m1, uintptr_t m2,
             const recon_types::AdamOptions &o, uintptr_t error, uintptr_t gradient,
             uintptr_t visible, uintptr_t stream) {
            e.adam(at<float>(params), at<float>(m1), at<float>(m2), o,
                   {at<float>(error), at<float>(gradient), at<float>(visible)}, stream_of(stream));
          },
          Release())
      .def(
          "read_footprints",
          [](Engine &e, uintptr_t out, uintptr_t stream) {
            e.read_footprints(at<float>(out), stream_of(stream));
          },
          Release())
      .def(
          "counts",
          [](Engine &e, uintptr_t stream) {
            const Counts c = e.counts(stream_of(stream));
            return std::make_tuple(c.visible, c.pairs);
          },
          Release())
      .def(
          "drain",
          [](Engine &e, uintptr_t stream) {
            const Drained d = e.drain(stream_of(stream));
            return std::make_tuple(d.loss_sum, d.last_loss, d.losses, d.skipped, d.nonfinite);
          },
          Release())
      .def("pair_capacity", &Engine::pair_capacity)
      .def("allocated", &Engine::allocated);
}
