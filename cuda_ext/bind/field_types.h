// What the Python bindings of both field engines share. Arrays come as addresses that the Python
// side (recon/kernels/field_engine.py) checked.
#pragma once

#include "recon/field.h"

#include <nanobind/nanobind.h>

#include <stdexcept>
#include <tuple>
#include <vector>

namespace recon_bind {

template <class T> T *at(uintptr_t address) { return reinterpret_cast<T *>(address); }

inline void need(bool fine, const char *what) {
  if (!fine)
    throw std::invalid_argument(what);
}

using Addresses = std::vector<uintptr_t>;

// In the order of the fields of FieldState.
recon_types::FieldState field_state(const Addresses &a);
// In the order of the fields of RayBatch from `origin` on.
recon_types::RayBatch ray_batch(int64_t n, const Addresses &a);
std::tuple<double, double, int64_t, int64_t> as_tuple(const recon_types::StepResult &r);

// Addresses of RGBA, weights and shares of tiles, camera.
using ImageList =
    std::vector<std::tuple<uintptr_t, uintptr_t, uintptr_t, const recon_types::View *>>;
std::vector<recon_types::FieldImage> field_images(const ImageList &images);

// Sizes, and what a step, marching and an update of the grid are asked to do.
void bind_field_types(nanobind::module_ &m);

} // namespace recon_bind
