#pragma once

#include <nanobind/nanobind.h>

#include "recon/math/projection.h"

// Scalar double and Dual instances of the shared mathematics, for tests: `oracle` submodule.
void bind_oracle(nanobind::module_ &m);
