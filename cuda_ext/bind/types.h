#pragma once

#include <nanobind/nanobind.h>

namespace recon_bind {

// What all splat engines are given (recon/splats.h), and the constants of the layout.
void bind_types(nanobind::module_ &m);

} // namespace recon_bind
