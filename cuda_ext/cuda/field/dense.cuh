// Layers of the small networks, a thread a sample. A sample's activations lie in planes, so that
// the threads of a warp load and store side by side; the weights are the same for all of them and
// come from the first cache, a vector at a time.
#pragma once

#include "cuda/field/frame.cuh"

namespace recon_cuda {

template <int N> __device__ __forceinline__ void clear(float (&acc)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n)
    acc[n] = 0.0f;
}

// acc += x w, with x[k] at `x + k stride` and w as (K, N).
template <int K, int N>
__device__ __forceinline__ void dense(const float *x, int64_t stride, const float *w,
                                      float (&acc)[N]) {
  static_assert(N % 4 == 0, "rows of weights are vectors");
#pragma unroll 2
  for (int k = 0; k < K; ++k) {
    const float a = x[k * stride];
    const float4 *row = reinterpret_cast<const float4 *>(w + k * N);
#pragma unroll
    for (int n = 0; n < N / 4; ++n) {
      const float4 q = load_uniform(row + n);
      acc[4 * n] += a * q.x;
      acc[4 * n + 1] += a * q.y;
      acc[4 * n + 2] += a * q.z;
      acc[4 * n + 3] += a * q.w;
    }
  }
}

template <int N> __device__ __forceinline__ void relu(float (&acc)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n)
    acc[n] = recon::max_(acc[n], 0.0f);
}

template <int N>
__device__ __forceinline__ void store_planes(const float (&acc)[N], float *to, int64_t stride) {
#pragma unroll
  for (int n = 0; n < N; ++n)
    to[n * stride] = acc[n];
}

template <int N>
__device__ __forceinline__ void load_planes(float (&acc)[N], const float *from, int64_t stride) {
#pragma unroll
  for (int n = 0; n < N; ++n)
    acc[n] = from[n * stride];
}

// Stores a gradient where the activation that it belongs to was not cut off by its ReLU.
template <int N>
__device__ __forceinline__ void store_gated(const float (&acc)[N], const float *gate, float *to,
                                            int64_t stride) {
#pragma unroll
  for (int n = 0; n < N; ++n)
    to[n * stride] = gate[n * stride] > 0.0f ? acc[n] : 0.0f;
}

} // namespace recon_cuda
