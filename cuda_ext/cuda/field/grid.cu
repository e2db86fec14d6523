// The occupancy grid: which cells are worth sampling. A thread a cell.

#include "cuda/field/frame.cuh"
#include "cuda/field/scan.cuh"

namespace recon_cuda {

namespace {

struct Corner {
  int x, y, z;
};
__device__ __forceinline__ Corner corner_of(int64_t cell, int side) {
  const int64_t rows = cell / side;
  return {static_cast<int>(cell % side), static_cast<int>(rows % side),
          static_cast<int>(rows / side)};
}

__global__ void __launch_bounds__(kFieldThreads)
    copy_bits_kernel(const uint8_t *from, uint8_t *to, int64_t bytes) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  if (i < bytes)
    to[i] = from[i];
}

// 1 for coarse cells with an occupied cell inside.
__global__ void __launch_bounds__(kFieldThreads)
    coarse_kernel(const uint8_t *bits, uint8_t *out, int grid) {
  const int side = grid / recon::kCoarse;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  if (i >= static_cast<int64_t>(side) * side * side)
    return;
  const Corner c = corner_of(i, side);
  uint32_t any = 0;
  for (int z = 0; z < recon::kCoarse; ++z)
    for (int y = 0; y < recon::kCoarse; ++y) {
      const int64_t row =
          static_cast<int64_t>(c.z * recon::kCoarse + z) * grid + c.y * recon::kCoarse + y;
      const int64_t first = row * grid + c.x * recon::kCoarse;
      any |= static_cast<uint32_t>(bits[first >> 3]) >> (first & 7) & 15u;
    }
  out[i] = any != 0;
}

// 1 for coarse cells with one of those within one cell.
__global__ void __launch_bounds__(kFieldThreads)
    widen_kernel(const uint8_t *from, uint8_t *out, int side) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  if (i >= static_cast<int64_t>(side) * side * side)
    return;
  const Corner c = corner_of(i, side);
  uint32_t any = 0;
  for (int z = c.z - 1; z <= c.z + 1; ++z)
    for (int y = c.y - 1; y <= c.y + 1; ++y)
      for (int x = c.x - 1; x <= c.x + 1; ++x)
        if (x >= 0 && y >= 0 && z >= 0 && x < side && y < side && z < side)
          any |= from[(static_cast<int64_t>(z) * side + y) * side + x];
  out[i] = any != 0;
}

// A range of cells, of which an update looks at some.
struct Slab {
  int64_t first;
  uint32_t cells;
};

__device__ __forceinline__ bool is_due(const FieldFrame &f, const Slab &slab, const float *density,
                                       const GridOptions &o, uint32_t i) {
  if (i >= slab.cells)
    return false;
  const int64_t cell = slab.first + i;
  return recon::cell_is_due(o, static_cast<uint32_t>(cell), recon::occupied(f.bits, cell),
                            density[cell]);
}

__global__ void __launch_bounds__(kFieldThreads)
    pick_count_kernel(FieldFrame f, Slab slab, const float *density, GridOptions o,
                      uint32_t *counts) {
  const uint32_t i = blockIdx.x * kFieldThreads + threadIdx.x;
  const uint32_t n = block_sum<uint32_t, kFieldThreads>(is_due(f, slab, density, o, i));
  if (threadIdx.x == 0)
    counts[blockIdx.x] = n;
}

__global__ void __launch_bounds__(kScanWidth)
    pick_scan_kernel(FieldFrame f, uint32_t *counts, uint32_t blocks) {
  const uint64_t total = scan_lists(counts, counts, blocks);
  if (threadIdx.x == 0) // there is room for a slab; it is one round
    f.status->samples = admit(total, f.sample_capacity, &f.status->wanted_samples);
}

__global__ void __launch_bounds__(kFieldThreads)
    pick_emit_kernel(FieldFrame f, Slab slab, const float *density, GridOptions o,
                     const uint32_t *begin) {
  const uint32_t i = blockIdx.x * kFieldThreads + threadIdx.x;
  const bool due = is_due(f, slab, density, o, i);
  uint32_t total;
  const uint32_t at = begin[blockIdx.x] + block_exclusive_sum<uint32_t, kFieldThreads>(due, total);
  if (!due)
    return;
  const int64_t cell = slab.first + i;
  const Corner c = corner_of(cell, f.shape.grid);
  const int corner[3] = {c.x, c.y, c.z};
  float u[3];
  recon::point_in_cell(o, f.shape.grid, corner, static_cast<uint32_t>(cell), u);
  for (int k = 0; k < 3; ++k)
    f.u[k * static_cast<int64_t>(f.sample_capacity) + at] = u[k];
  f.dt[at] = o.shortest;
  f.owner[at] = static_cast<uint32_t>(cell);
}

__global__ void __launch_bounds__(kFieldThreads)
    store_cells_kernel(FieldFrame f, float *density, float decay) {
  for_samples(0, f.status->samples, [&](uint32_t s) {
    float &d = density[f.owner[s]];
    d = recon::max_(d * decay, recon::density_activation(f.raw[s]));
  });
}

// Opacity of a step through a cell.
__device__ __forceinline__ float cell_opacity(const FieldFrame &f, const GridOptions &o,
                                              int64_t cell, float density) {
  const Corner c = corner_of(cell, f.shape.grid);
  return density * o.shortest * recon::stretch_of_cell(f.shape, c.x, c.y, c.z);
}

__global__ void __launch_bounds__(kFieldThreads)
    opacity_sums_kernel(const float *density, GridOptions o, int64_t cells, double *parts) {
  const int64_t cell = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  double total = 0.0, count = 0.0;
  if (cell < cells && density[cell] >= 0.0f) {
    total = static_cast<double>(recon::fog_opacity(density[cell], o));
    count = 1.0;
  }
  total = block_sum<double, kFieldThreads>(total);
  count = block_sum<double, kFieldThreads>(count);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = total;
    parts[gridDim.x + blockIdx.x] = count;
  }
}

__global__ void __launch_bounds__(kScanWidth)
    threshold_kernel(FieldFrame f, const double *parts, uint32_t blocks, GridOptions o) {
  double total = 0.0, count = 0.0;
  for (uint32_t i = threadIdx.x; i < blocks; i += kScanWidth) {
    total += parts[i];
    count += parts[blocks + i];
  }
  total = block_sum<double, kScanWidth>(total);
  count = block_sum<double, kScanWidth>(count);
  if (threadIdx.x == 0)
    f.status->threshold =
        recon::occupancy_threshold(o, static_cast<float>(count > 0.0 ? total / count : 0.0));
}

// A thread a byte.
__global__ void __launch_bounds__(kFieldThreads)
    occupy_kernel(FieldFrame f, const float *density, GridOptions o, int64_t bytes, uint8_t *bits) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kFieldThreads + threadIdx.x;
  if (i >= bytes)
    return;
  uint32_t byte = 0;
  for (int k = 0; k < 8; ++k) {
    const int64_t cell = 8 * i + k;
    const float d = density[cell];
    const bool is_occupied = d >= 0.0f && cell_opacity(f, o, cell, d) >= f.status->threshold;
    byte |= static_cast<uint32_t>(is_occupied) << k;
  }
  bits[i] = static_cast<uint8_t>(byte);
}

} // namespace

void copy_occupancy(const FieldFrame &f, const uint8_t *from, uint8_t *bits, uint8_t *coarse,
                    uint8_t *scratch, Stream stream) {
  const int64_t bytes = cube(f.shape.grid) / 8;
  const int side = f.shape.grid / recon::kCoarse;
  const uint32_t coarse_blocks = blocks_for(cube(side), kFieldThreads);
  RECON_LAUNCH(copy_bits_kernel, blocks_for(bytes, kFieldThreads), kFieldThreads, stream, from,
               bits, bytes);
  RECON_LAUNCH(coarse_kernel, coarse_blocks, kFieldThreads, stream, bits, scratch, f.shape.grid);
  RECON_LAUNCH(widen_kernel, coarse_blocks, kFieldThreads, stream, scratch, coarse, side);
}

void pick_cells(const FieldFrame &f, const float *density, const GridOptions &o, int64_t first,
                uint32_t cells, uint32_t *counts, Stream stream) {
  const Slab slab = {first, cells};
  const uint32_t blocks = blocks_for(cells, kFieldThreads);
  RECON_LAUNCH(pick_count_kernel, blocks, kFieldThreads, stream, f, slab, density, o, counts);
  RECON_LAUNCH(pick_scan_kernel, 1, kScanWidth, stream, f, counts, blocks);
  RECON_LAUNCH(pick_emit_kernel, blocks, kFieldThreads, stream, f, slab, density, o, counts);
}

void store_cells(const FieldFrame &f, float *density, const GridOptions &o, Stream stream) {
  RECON_LAUNCH(store_cells_kernel, sample_blocks(f.sample_capacity), kFieldThreads, stream, f,
               density, o.decay);
}

void threshold_cells(const FieldFrame &f, const float *density, const GridOptions &o, double *parts,
                     uint8_t *bits, Stream stream) {
  const int64_t cells = cube(f.shape.grid);
  const uint32_t blocks = blocks_for(cells, kFieldThreads);
  RECON_LAUNCH(opacity_sums_kernel, blocks, kFieldThreads, stream, density, o, cells, parts);
  RECON_LAUNCH(threshold_kernel, 1, kScanWidth, stream, f, parts, blocks, o);
  RECON_LAUNCH(occupy_kernel, blocks_for(cells / 8, kFieldThreads), kFieldThreads, stream, f,
               density, o, cells / 8, bits);
}

} // namespace recon_cuda
