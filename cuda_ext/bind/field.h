#pragma once

#include <nanobind/nanobind.h>

// The engine of the hash-grid field.
void bind_field(nanobind::module_ &m);
