#include "bind/isa.h"

#include <stdexcept>

using namespace recon_cpu;

std::vector<Isa> instruction_sets() {
  std::vector<Isa> out;
#if defined(__x86_64__)
  __builtin_cpu_init();
  out.push_back({"x86-64-v4", create_engine_v4, create_field_v4, plane_sweep_v4,
                 __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("avx512cd")});
  out.push_back({"x86-64-v3", create_engine_v3, create_field_v3, plane_sweep_v3,
                 __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                     __builtin_cpu_supports("bmi2")});
  out.push_back({"x86-64-v2", create_engine_v2, create_field_v2, plane_sweep_v2,
                 __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")});
#endif
  out.push_back(
      {"generic", create_engine_generic, create_field_generic, plane_sweep_generic, true});
  return out;
}

Isa find_isa(const std::string &wanted) {
  for (const Isa &isa : instruction_sets())
    if (wanted.empty() ? isa.supported : wanted == isa.name) {
      if (!isa.supported)
        throw std::invalid_argument("this CPU lacks the instruction set " + wanted);
      return isa;
    }
  throw std::invalid_argument("unknown instruction set " + wanted);
}
