// The CUDA splat engine as its Python bindings see it. All pointers to arrays are device pointers.
//
// Work is put into a stream and nothing waits for it, but for what says so. Sizes that only the
// device knows (visible splats, tile-splat pairs) stay there: buffers have room for a fixed number
// of pairs, and a view with more is marked as overflowed. Its step then changes nothing; the number
// of pairs it wanted comes back without waiting, and the room grows before a later forward.
#pragma once

#include "cuda/device.h"
#include "recon/splats.h"

#include <memory>

namespace recon_cuda {

struct Counts {
  int64_t visible; // splats with a footprint on the image
  int64_t pairs;   // (tile, splat)
};

// Sums over the steps since the last drain.
struct Drained {
  double loss_sum, last_loss;
  int64_t losses;    // steps in loss_sum
  int64_t skipped;   // steps without effect because there was no room for all pairs
  int64_t nonfinite; // splats whose gradient was not finite and was dropped
};

struct Workload {
  int64_t splats, pairs;
  int width, height;
  bool depth, training;
};

// Bytes that an engine allocates for such views.
int64_t engine_bytes(const Workload &work);

// One view at a time: forward, then loss or set_gradients, then backward, then gradients or adam.
// Not thread-safe. Throws OutOfDeviceMemory before it asks for more than there is.
class Engine {
public:
  // Room for `pairs` (tile, splat) pairs at first.
  explicit Engine(int64_t pairs);
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  // training: keep what backward needs. `params` must stay as it is until the image was read.
  void forward(const float *params, int64_t n, const recon_types::View &view,
               const recon_types::RenderOptions &options, bool training, Stream stream);

  // The image of the last forward, with all its pairs: waits, and renders again where there was no
  // room. Null pointers are skipped. color (H, W, 3), alpha (H, W), depth_sum (H, W).
  void read(float *color, float *alpha, float *depth_sum, Stream stream);

  // target (3, H, W) uint8. The loss is added up on the device: see drain().
  void loss(const uint8_t *target, const recon_types::LossOptions &options, Stream stream);
  void set_gradients(const float *color, const float *alpha, const float *depth_sum, Stream stream);
  void read_gradients(float *color, Stream stream);
  void backward(Stream stream);
  void gradients(const float *params, float *out, Stream stream);
  void adam(float *params, float *m, float *v, const recon_types::AdamOptions &options,
            const recon_types::SplatStats &stats, Stream stream);
  void read_footprints(float *out, Stream stream);

  Counts counts(Stream stream); // waits
  Drained drain(Stream stream); // waits
  int64_t pair_capacity() const;
  int64_t allocated() const; // bytes

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace recon_cuda
