// Loops over chunks on the thread pool.
#pragma once

#include "cpu/threads.h"
#include "recon/math/scalar.h"

RECON_BEGIN

// Calls f(chunk, thread) for each chunk on the thread pool.
template <class F> void run_chunks(int chunks, F &&f) {
  recon_cpu::parallel_for(
      chunks,
      [](void *context, int chunk, int thread) { (*static_cast<F *>(context))(chunk, thread); },
      &f);
}

RECON_FN int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

RECON_END
