// The CPU engine of the hash-grid field as the Python bindings see it, independent of the
// instruction set. recon/nerf/reference.py states the semantics.
#pragma once

#include "cpu/engine.h"
#include "recon/field.h"

namespace recon_cpu {

// Seconds of CPU time over all threads.
struct FieldTimings {
  double march, encode, density, color, composite, backward, scatter, adam, grid;
};

class FieldEngine {
public:
  virtual ~FieldEngine();

  virtual void set_images(const FieldImage *images, int n) = 0;

  // (grid^3) densities: 0 where some training camera sees the cell, -1 elsewhere, and with `carve`
  // also -1 where a photo is transparent.
  virtual void mark_visible(const FieldShape &shape, float near, bool carve, float *density) = 0;
  // (grid^3 / 8) bits, x fastest.
  virtual void set_occupancy(const FieldShape &shape, const uint8_t *bits) = 0;
  // Looks at some cells again, writes `density` and `bits`, and uses them.
  virtual void update_grid(const FieldShape &shape, const FieldWeights &weights, float *density,
                           uint8_t *bits, const GridOptions &options) = 0;

  // One step of training on random rays of the images.
  virtual StepResult train_step(const FieldShape &shape, const FieldState &state,
                                const MarchOptions &march, const StepOptions &options) = 0;

  // The same on given rays without an update: gradients of (entries, kFeatures), (kWeights) and
  // (images, 3); what each ray rendered, (n, 3).
  virtual StepResult gradients(const FieldShape &shape, const FieldState &state,
                               const MarchOptions &march, const StepOptions &options,
                               const RayBatch &rays, float *table, float *mlp, float *exposure,
                               float *color) = 0;

  // Encoding (n, kEncoded), density (n) per scene unit and colour (n, 3) at points (n, 3) in scene
  // space seen along unit directions (n, 3). Null outputs are skipped.
  virtual void query(const FieldShape &shape, const FieldWeights &weights, int64_t n,
                     const float *points, const float *directions, float *encoded, float *density,
                     float *color) = 0;

  // color (H, W, 3) on the background, alpha (H, W), depth (H, W) expected z-depth in scene units
  // or null; without samples whose z-depth (scene units) is less than `near`.
  virtual void render(const FieldShape &shape, const FieldWeights &weights,
                      const MarchOptions &march, const View &view, float near,
                      const float background[3], float *color, float *alpha, float *depth) = 0;

  virtual FieldTimings timings(bool reset) = 0;
};

FieldEngine *create_field_generic();
#if defined(__x86_64__)
FieldEngine *create_field_v2();
FieldEngine *create_field_v3();
FieldEngine *create_field_v4();
#endif

} // namespace recon_cpu
