// The CUDA engine of the hash-grid field as its Python bindings see it. All pointers to arrays are
// device pointers.
//
// Work is put into a stream and nothing waits for it, but for what says so. There is room for a
// fixed number of samples, and a batch of rays that takes more counts for nothing. A training step
// that found no room changes nothing; its result says so when it comes back, some steps later, and
// the room grows then. Everything else waits and is done again with more room.
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

// Steps whose results need not have been taken when a further one is queued: enough for the device
// to have work while the host waits for the oldest one.
constexpr int kStepsAhead = 4;

struct FieldResult : recon_types::StepResult {
  // What there must be room for. Where there was none, as far as it is known.
  int64_t samples, wanted_live;
  bool complete; // whether there was room for all; if not, the step changed nothing
};

// Sums over the training steps since the last drain.
struct FieldDrained {
  double loss_sum;
  int64_t losses;  // steps in loss_sum
  int64_t skipped; // steps without effect because there was no room for all samples
};

struct FieldRoom {
  int64_t samples, live;
};

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
  // Throws std::logic_error where the results of more than kStepsAhead steps wait to be taken.
  void train_step(const recon_types::FieldShape &shape, const recon_types::FieldState &state,
                  const recon_types::MarchOptions &march, const recon_types::StepOptions &options,
                  Stream stream);
  // The result of the oldest step whose result was not taken yet; waits for that step alone.
  FieldResult take_result();
  FieldDrained drain(Stream stream); // waits
  // Room from the next call on: as it was in another engine, or, where such a batch would leave
  // little to spare, more.
  void set_room(const FieldRoom &room);
  void make_room(int64_t samples, int64_t live);
  FieldRoom room() const;

  // Waits. `table` must be 0 where the step touches nothing.
  FieldResult gradients(const recon_types::FieldShape &shape, const recon_types::FieldState &state,
                        const recon_types::MarchOptions &march,
                        const recon_types::StepOptions &options, const recon_types::RayBatch &rays,
                        float *table, float *mlp, float *exposure, float *color, Stream stream);
  // Null outputs are skipped.
  void query(const recon_types::FieldShape &shape, const recon_types::FieldWeights &weights,
             int64_t n, const float *points, const float *directions, float *encoded,
             float *density, float *color, Stream stream);
  // Waits.
  void render(const recon_types::FieldShape &shape, const recon_types::FieldWeights &weights,
              const recon_types::MarchOptions &march, const recon_types::View &view, float near,
              const float background[3], float *color, float *alpha, float *depth, Stream stream);

  int64_t allocated() const; // bytes

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace recon_cuda
