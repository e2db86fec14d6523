// The CUDA engine of the hash-grid field as its Python bindings see it. All pointers to arrays are
// device pointers.
//
// There is room for a fixed number of samples. A batch of rays that takes more counts for nothing,
// and is done again with more room. So each call waits for the device once, at its end; a training
// step has to anyway, since what it found decides how many rays the next one has.
#pragma once

#include "cuda/device.h"
#include "recon/field.h"

#include <memory>

namespace recon_cuda {

struct FieldWorkload {
  int64_t rays, samples, live; // of a batch
  int64_t entries;             // of the table, for training; 0 for rendering alone
  int grid;                    // cells a side
};

// Bytes that an engine allocates for such batches.
int64_t field_engine_bytes(const FieldWorkload &work);

// Not thread-safe. Throws OutOfDeviceMemory before it asks for more than there is. See
// cpu/field/field.h for what the calls do.
class FieldEngine {
public:
  // Room for so many samples at first.
  explicit FieldEngine(int64_t samples);
  ~FieldEngine();
  FieldEngine(const FieldEngine &) = delete;
  FieldEngine &operator=(const FieldEngine &) = delete;

  // The list itself is in main memory; waits.
  void set_images(const recon_types::FieldImage *images, int n, Stream stream);
  void set_occupancy(const recon_types::FieldShape &shape, const uint8_t *bits, Stream stream);
  void update_grid(const recon_types::FieldShape &shape, const recon_types::FieldWeights &weights,
                   float *density, uint8_t *bits, const recon_types::GridOptions &options,
                   Stream stream);
  recon_types::StepResult train_step(const recon_types::FieldShape &shape,
                                     const recon_types::FieldState &state,
                                     const recon_types::MarchOptions &march,
                                     const recon_types::StepOptions &options, Stream stream);
  // `table` must be 0 where the step touches nothing.
  recon_types::StepResult gradients(const recon_types::FieldShape &shape,
                                    const recon_types::FieldState &state,
                                    const recon_types::MarchOptions &march,
                                    const recon_types::StepOptions &options,
                                    const recon_types::RayBatch &rays, float *table, float *mlp,
                                    float *exposure, float *color, Stream stream);
  // Null outputs are skipped.
  void query(const recon_types::FieldShape &shape, const recon_types::FieldWeights &weights,
             int64_t n, const float *points, const float *directions, float *encoded,
             float *density, float *color, Stream stream);
  void render(const recon_types::FieldShape &shape, const recon_types::FieldWeights &weights,
              const recon_types::MarchOptions &march, const recon_types::View &view, float near,
              const float background[3], float *color, float *alpha, float *depth, Stream stream);

  int64_t allocated() const; // bytes

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace recon_cuda
