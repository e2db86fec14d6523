// The operations that the per-element mathematics needs from a scalar type, for double and float.
//
// The mathematics in this folder is written once, on a type T that is a double (value oracle), a
// Dual (derivative oracle), a float (one CUDA thread) or a vector of lanes (the CPU kernels). It is
// branch-free: decisions go through select(). A type provides the operators + - * /, comparisons
// that yield its mask type, and the functions below.
#pragma once

#include <cmath>

#if defined(__CUDACC__)
#define RECON_FN __host__ __device__ inline
#else
#define RECON_FN inline __attribute__((always_inline))
#endif

// Kernels are compiled once for each instruction set. Each compilation lives in its own inline
// namespace: the linker would otherwise merge equal template instances across instruction sets.
#ifndef RECON_ISA
#define RECON_ISA scalar
#endif
#define RECON_BEGIN                                                                                \
  namespace recon {                                                                                \
  inline namespace RECON_ISA {
#define RECON_END                                                                                  \
  }                                                                                                \
  }

RECON_BEGIN

RECON_FN float select(bool m, float a, float b) { return m ? a : b; }
RECON_FN double select(bool m, double a, double b) { return m ? a : b; }
RECON_FN float sqrt_(float x) { return sqrtf(x); }
RECON_FN double sqrt_(double x) { return std::sqrt(x); }
RECON_FN float exp_(float x) { return expf(x); }
RECON_FN double exp_(double x) { return std::exp(x); }
RECON_FN float log_(float x) { return logf(x); }
RECON_FN double log_(double x) { return std::log(x); }

template <class T> RECON_FN T max_(T a, T b) { return select(a > b, a, b); }
template <class T> RECON_FN T min_(T a, T b) { return select(a < b, a, b); }
template <class T> RECON_FN T square(T a) { return a * a; }

RECON_END
