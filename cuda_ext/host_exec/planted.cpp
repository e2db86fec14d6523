// Kernels with planted mistakes, each of which the executor must end with its message: the tests
// run them one by one in processes of their own.
#include "host_exec/planted.h"

#include "host_exec/cuda_on_cpu.h"

#include <string_view>

namespace host_exec {

namespace {

void missing_barrier(int *out) {
  RECON_SHARED(int, values, 64);
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = values[63 - threadIdx.x];
}

void missing_barrier_before_write(int *out) {
  RECON_SHARED(int, values, 64);
  values[threadIdx.x] = 1;
  __syncthreads();
  if (threadIdx.x % 2 == 0)
    out[threadIdx.x] = values[threadIdx.x + 1];
  else
    values[threadIdx.x] = 2;
}

void shuffle_is_no_barrier(int *out) {
  RECON_SHARED(int, values, 64);
  values[threadIdx.x] = 1;
  __shfl_xor_sync(0xffffffffu, 0, 1);
  out[threadIdx.x] = values[threadIdx.x ^ 1];
}

void divergent_barrier(int *out) {
  if (threadIdx.x < 32)
    __syncthreads();
  out[threadIdx.x] = 0;
}

void two_barriers(int *out) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  out[threadIdx.x] = 0;
}

void wrong_mask(int *out) {
  if (threadIdx.x % 2 == 0)
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}

void beyond_shared(int *out) {
  RECON_SHARED(int, values, 64);
  values[threadIdx.x + 1] = 1;
  out[threadIdx.x] = 0;
}

void uninitialised(int *out) {
  RECON_SHARED(int, values, 64);
  out[threadIdx.x] = values[threadIdx.x];
}

void beyond_global(int *out) { out[threadIdx.x + 1] = 1; }

} // namespace

bool run_planted(const char *name) {
  constexpr struct {
    std::string_view name;
    void (*kernel)(int *);
  } kAll[] = {{"missing_barrier", missing_barrier},
              {"missing_barrier_before_write", missing_barrier_before_write},
              {"shuffle_is_no_barrier", shuffle_is_no_barrier},
              {"divergent_barrier", divergent_barrier},
              {"two_barriers", two_barriers},
              {"wrong_mask", wrong_mask},
              {"beyond_shared", beyond_shared},
              {"uninitialised", uninitialised},
              {"beyond_global", beyond_global}};
  int *out = static_cast<int *>(allocate(64 * sizeof(int)));
  bool found = false;
  for (const auto &planted : kAll)
    if (planted.name == name) {
      found = true;
      auto *kernel = planted.kernel;
      RECON_LAUNCH(kernel, 1, 64, nullptr, out);
    }
  release(out);
  return found;
}

} // namespace host_exec
