#pragma once

#include <nanobind/nanobind.h>

// The CUDA engine of the hash-grid field.
void bind_cuda_field(nanobind::module_ &m);
