#pragma once

#include "cpu/engine.h"
#include "cpu/field/field.h"
#include "cpu/sweep/sweep.h"

#include <string>
#include <vector>

// An instruction set that kernels were compiled for.
struct Isa {
  const char *name;
  recon_cpu::Engine *(*create)();
  recon_cpu::FieldEngine *(*create_field)();
  recon_cpu::PlaneSweep plane_sweep;
  bool supported; // by this CPU
};

// All of them, best first.
std::vector<Isa> instruction_sets();

// The one of this name; the best supported one for an empty name. Throws std::invalid_argument.
Isa find_isa(const std::string &wanted);
