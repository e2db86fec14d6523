// The CPU splat engine as the Python bindings see it, independent of the instruction set.
#pragma once

#include <cstdint>

#include "recon/splats.h"

namespace recon_cpu {

using namespace recon_types;

// Wall time in seconds spent in each stage since the last reset.
struct Timings {
  double project, sort, bin, raster_forward, loss, raster_backward, splat_backward;
};

struct Counts {
  int64_t visible;   // splats with a footprint on the image
  int64_t pairs;     // (tile, splat)
  int64_t nonfinite; // splats whose gradient was not finite and was dropped
};

// The machine's arithmetic and memory rates with the threads of the pool.
struct Ceilings {
  double fma_gflops; // multiply-adds count two
  double triad_gbs;  // a = b + s c, 16 bytes an element
};

struct RasterWork {
  int64_t lanes;       // (pixel, splat) lanes that the last view visits
  int64_t evaluations; // of these, the ones that count: inside the ellipse, before saturation
};

// One view at a time: forward, then a loss or given gradients, then backward, then the per-splat
// pass. Not thread-safe; uses the shared thread pool inside.
class Engine {
public:
  virtual ~Engine();

  virtual void forward(const float *params, int64_t n, const View &view,
                       const RenderOptions &options) = 0;

  // Copies out what the last forward rendered; null pointers are skipped.
  // color (H, W, 3), alpha (H, W), depth_sum (H, W).
  virtual void read(float *color, float *alpha, float *depth_sum) const = 0;

  // Loss of the last forward against target (3, H, W) uint8; prepares the image gradients.
  virtual double loss(const uint8_t *target, const LossOptions &options) = 0;

  // Gradients given from outside in the layouts of read(); depth_sum may be null.
  virtual void set_gradients(const float *color, const float *alpha, const float *depth_sum) = 0;
  virtual void read_gradients(float *color) const = 0;

  // Rasterises backward; then either gradients() or adam() finishes.
  virtual void backward() = 0;
  virtual void gradients(const float *params, float *out) = 0;
  virtual void adam(float *params, float *m, float *v, const AdamOptions &options,
                    const SplatStats &stats) = 0;

  // (N, 16) record of each splat of the last forward, zero where it was not visible: mean 0-1,
  // conic 2-4, log2 opacity 5, colour 6-8, depth 9, half extents 10-11. For tests.
  virtual void read_footprints(float *out) const = 0;

  virtual Counts counts() const = 0;
  virtual Timings timings(bool reset) = 0;
  virtual RasterWork work() const = 0;
  virtual Ceilings ceilings() const = 0;
};

// Splat i of `out` is splat sources[i] of `in`, both as blocks; where the source is negative, and
// in the padding of the last block, `out` is zero.
void gather_splats(const float *in, const int64_t *sources, int64_t n, float *out);

Engine *create_engine_generic();
#if defined(__x86_64__)
Engine *create_engine_v2();
Engine *create_engine_v3();
Engine *create_engine_v4();
#endif

} // namespace recon_cpu
