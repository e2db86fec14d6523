#pragma once

#include <nanobind/nanobind.h>

// Plane sweeping: see recon/dense/sweep.py.
void bind_sweep(nanobind::module_ &m);
