// Small matrix products for blocks of samples: rows are samples, and a block with all of its
// activations stays in cache.

#include "cpu/field/state.h"

RECON_BEGIN

namespace {

enum class Finish { linear, relu, gate };

constexpr int kTileRows = 6; // with two vectors of outputs: 12 sums in registers

// y[r] = finish(init[r] + x[r] w) for `rows` rows, rounded up to whole tiles: up to 5 more rows are
// read and written. `w` is (K, N). `gate` (rows, N): the result is 0 where the gate is not
// positive.
template <int K, int N, Finish F, bool INIT = false>
void layer(const float *x, int64_t ldx, const float *w, float *y, int rows,
           const float *gate = nullptr, const float *const *init = nullptr) {
  constexpr int V = N >= 2 * kLanes ? 2 : 1;
  for (int n = 0; n < N; n += V * kLanes)
    for (int r0 = 0; r0 < rows; r0 += kTileRows) {
      F8 acc[kTileRows][V];
#pragma GCC unroll 6
      for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          acc[r][v] = INIT ? F8::loadu(init[r0 + r] + n + v * kLanes) : F8(0.0f);
      const float *xs = x + r0 * ldx;
      for (int k = 0; k < K; ++k) {
        F8 b[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          b[v] = F8::loadu(w + k * N + n + v * kLanes);
#pragma GCC unroll 6
        for (int r = 0; r < kTileRows; ++r) {
          const F8 a(xs[r * ldx + k]);
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v)
            acc[r][v] = acc[r][v] + a * b[v];
        }
      }
#pragma GCC unroll 6
      for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          const int64_t at = static_cast<int64_t>(r0 + r) * N + n + v * kLanes;
          F8 out = acc[r][v];
          if (F == Finish::relu)
            out = max_(out, F8(0.0f));
          if (F == Finish::gate)
            out = mask(F8::loadu(gate + at) > F8(0.0f), out);
          out.storeu(y + at);
        }
    }
}

// dw[i][n] += sum over exactly `rows` rows of x[r][i] dy[r][n]: the gradient of the weights.
template <int K, int N>
void outer(const float *x, int64_t ldx, const float *dy, int rows, float *dw) {
  constexpr int V = N >= 2 * kLanes ? 2 : 1, I = V == 2 ? 4 : 8;
  for (int n = 0; n < N; n += V * kLanes)
    for (int i0 = 0; i0 < K; i0 += I) {
      F8 acc[I][V];
#pragma GCC unroll 8
      for (int i = 0; i < I; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          acc[i][v] = F8::loadu(dw + (i0 + i) * N + n + v * kLanes);
      for (int r = 0; r < rows; ++r) {
        F8 b[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          b[v] = F8::loadu(dy + r * N + n + v * kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < I; ++i) {
          const F8 a(x[r * ldx + i0 + i]);
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v)
            acc[i][v] = acc[i][v] + a * b[v];
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < I; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          acc[i][v].storeu(dw + (i0 + i) * N + n + v * kLanes);
    }
}

template <int K, int N> void transpose(const float *w, float *out) {
  for (int k = 0; k < K; ++k)
    for (int n = 0; n < N; ++n)
      out[n * K + k] = w[k * N + n];
}

} // namespace

// The transposed weights that the backward pass needs.
void transpose_weights(const float *mlp, float *out) {
  using namespace recon_cpu;
  transpose<kEncoded, kHidden>(mlp + kDensity1, out + kDensity1);
  transpose<kHidden, kGeometry>(mlp + kDensity2, out + kDensity2);
  transpose<kGeometry, kHidden>(mlp + kColor1, out + kColor1);
  transpose<kHidden, kHidden>(mlp + kColor2, out + kColor2);
  transpose<kHidden, kOut>(mlp + kColor3, out + kColor3);
}

RECON_END
