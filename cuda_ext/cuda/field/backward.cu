// Backward through the networks: first the gradients of a live sample's activations, a thread a
// sample; then those of the weights, sums over all live samples of (input x gradient of the
// output).

#include "cuda/field/dense.cuh"
#include "cuda/field/frame.cuh"

namespace recon_cuda {

namespace {

struct LayerSpan {
  int first, inputs, outputs;
};

__global__ void __launch_bounds__(kFieldThreads) transpose_kernel(FieldFrame f) {
  constexpr LayerSpan layers[] = {
      {recon_types::kDensity1, kEncoded, kHidden}, {recon_types::kDensity2, kHidden, kGeometry},
      {recon_types::kColor1, kGeometry, kHidden},  {recon_types::kColor1Sphere, kSphere, kHidden},
      {recon_types::kColor2, kHidden, kHidden},    {recon_types::kColor3, kHidden, kOut}};
  const int i = static_cast<int>(blockIdx.x * kFieldThreads + threadIdx.x);
#pragma unroll
  for (const LayerSpan layer : layers) {
    const int at = i - layer.first;
    if (at >= 0 && at < layer.inputs * layer.outputs)
      f.transposed[layer.first + at % layer.outputs * layer.inputs + at / layer.outputs] =
          f.weights.mlp[i];
  }
}

__device__ __forceinline__ void backward_sample(const FieldFrame &f, uint32_t i) {
  const float *mlp = f.transposed;
  const int64_t stride = f.live_capacity;
  float hidden[kHidden];
  clear(hidden);
  dense<kColors>(f.d_out + i, stride, mlp + recon_types::kColor3, hidden);
  store_gated(hidden, f.h3 + i, f.d_h3 + i, stride);

  clear(hidden);
  dense<kHidden>(f.d_h3 + i, stride, mlp + recon_types::kColor2, hidden);
  store_gated(hidden, f.h2 + i, f.d_h2 + i, stride);

  float geometry[kGeometry];
  clear(geometry);
  dense<kHidden>(f.d_h2 + i, stride, mlp + recon_types::kColor1, geometry);
  geometry[0] += f.d_density[i] * recon::density_slope(f.raw[f.live[i]]);
  store_planes(geometry, f.d_geometry + i, stride);

  clear(hidden);
  dense<kGeometry>(f.d_geometry + i, stride, mlp + recon_types::kDensity2, hidden);
  store_gated(hidden, f.h1 + i, f.d_h1 + i, stride);

  float encoded[kEncoded];
  clear(encoded);
  dense<kHidden>(f.d_h1 + i, stride, mlp + recon_types::kDensity1, encoded);
  store_planes(encoded, f.d_encoded + i, stride);
}

__global__ void __launch_bounds__(kFieldThreads) backward_live_kernel(FieldFrame f) {
  for_samples(0, f.status->live, [&](uint32_t i) { backward_sample(f, i); });
}

// Weight gradients. A block has a chunk of the live samples and one layer (K, N); a thread sums
// `kRowsEach` x 4 products. Samples come in tiles, four to a vector.
constexpr int kTileVectors = kChunkTile / 4, kTileStride = kTileVectors + 1; // no bank conflicts

struct Chunk {
  uint32_t begin, end;
};
__device__ __forceinline__ Chunk chunk_of(const FieldFrame &f) {
  const uint32_t tiles = (f.status->live + kChunkTile - 1) / kChunkTile;
  const uint32_t each = (tiles + kChunks - 1) / kChunks * kChunkTile;
  const uint32_t begin = blockIdx.x * each, end = begin + each;
  return {begin, end < f.status->live ? end : f.status->live};
}

// Loads rows of a tile: value(row, sample) for those samples that exist, else 0.
template <int Rows, class Tile, class Value>
__device__ __forceinline__ void load_tile(Tile &tile, uint32_t first, uint32_t end, Value &&value) {
  for (int e = static_cast<int>(threadIdx.x); e < Rows * kTileVectors; e += kFieldThreads) {
    const int row = e / kTileVectors, vector = e % kTileVectors;
    const uint32_t s = first + 4u * static_cast<uint32_t>(vector);
    float4 q;
    q.x = s < end ? value(row, s) : 0.0f;
    q.y = s + 1 < end ? value(row, s + 1) : 0.0f;
    q.z = s + 2 < end ? value(row, s + 2) : 0.0f;
    q.w = s + 3 < end ? value(row, s + 3) : 0.0f;
    tile[row * kTileStride + vector] = q;
  }
}

// `out` as (K, N), of which the columns up to Given have gradients; the others are 0.
template <int K, int N, int Given, class TileX, class TileY, class ValueX>
__device__ __forceinline__ void sum_products(const FieldFrame &f, TileX &tile_x, TileY &tile_y,
                                             ValueX &&x, const float *y, float *out) {
  constexpr int kColumns = N / 4, kGroups = kFieldThreads / kColumns, kRowsEach = K / kGroups;
  static_assert(kGroups * kRowsEach == K, "rows are shared out evenly");
  const int column = static_cast<int>(threadIdx.x) % kColumns;
  const int group = static_cast<int>(threadIdx.x) / kColumns;
  float acc[kRowsEach][4] = {};
  const Chunk chunk = chunk_of(f);
  for (uint32_t first = chunk.begin; first < chunk.end; first += kChunkTile) {
    load_tile<K>(tile_x, first, chunk.end, x);
    load_tile<N>(tile_y, first, chunk.end, [&](int row, uint32_t s) {
      return row < Given ? y[row * static_cast<int64_t>(f.live_capacity) + s] : 0.0f;
    });
    __syncthreads();
    for (int v = 0; v < kTileVectors; ++v) {
      float4 b[4];
#pragma unroll
      for (int j = 0; j < 4; ++j)
        b[j] = tile_y[(column + j * kColumns) * kTileStride + v];
#pragma unroll
      for (int i = 0; i < kRowsEach; ++i) {
        const float4 a = tile_x[(group + i * kGroups) * kTileStride + v];
#pragma unroll
        for (int j = 0; j < 4; ++j)
          acc[i][j] += a.x * b[j].x + a.y * b[j].y + a.z * b[j].z + a.w * b[j].w;
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kRowsEach; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      out[(group + i * kGroups) * N + column + j * kColumns] = acc[i][j];
}

constexpr int kLayers = 6;

__global__ void __launch_bounds__(kFieldThreads) weight_gradients_kernel(FieldFrame f) {
  RECON_SHARED(float4, tile_x, kHidden * kTileStride);
  RECON_SHARED(float4, tile_y, kHidden * kTileStride);
  const int64_t stride = f.live_capacity;
  float *out = f.weight_parts + static_cast<int64_t>(blockIdx.x) * kWeights;
  auto plane = [&](const float *from) {
    return [=](int row, uint32_t s) { return from[row * stride + s]; };
  };
  switch (blockIdx.y) {
  case 0:
    sum_products<kEncoded, kHidden, kHidden>(f, tile_x, tile_y, plane(f.live_encoded), f.d_h1,
                                             out + recon_types::kDensity1);
    break;
  case 1:
    sum_products<kHidden, kGeometry, kGeometry>(f, tile_x, tile_y, plane(f.h1), f.d_geometry,
                                                out + recon_types::kDensity2);
    break;
  case 2:
    sum_products<kGeometry, kHidden, kHidden>(f, tile_x, tile_y, plane(f.geometry), f.d_h2,
                                              out + recon_types::kColor1);
    break;
  case 3:
    sum_products<kSphere, kHidden, kHidden>(
        f, tile_x, tile_y,
        [&](int row, uint32_t s) { return f.train[f.owner[f.live[s]]].sphere[row]; }, f.d_h2,
        out + recon_types::kColor1Sphere);
    break;
  case 4:
    sum_products<kHidden, kHidden, kHidden>(f, tile_x, tile_y, plane(f.h2), f.d_h3,
                                            out + recon_types::kColor2);
    break;
  default:
    sum_products<kHidden, kOut, kColors>(f, tile_x, tile_y, plane(f.h3), f.d_out,
                                         out + recon_types::kColor3);
    break;
  }
}

} // namespace

void backward_live(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(transpose_kernel, blocks_for(kWeights, kFieldThreads), kFieldThreads, stream, f);
  RECON_LAUNCH(backward_live_kernel, sample_blocks(f.live_capacity), kFieldThreads, stream, f);
}

void weight_gradients(const FieldFrame &f, Stream stream) {
  RECON_LAUNCH(weight_gradients_kernel, Grid(kChunks, kLayers), kFieldThreads, stream, f);
}

} // namespace recon_cuda
