// Plane sweeping as the Python bindings see it, independent of the instruction set.
#pragma once

#include <cstdint>

namespace recon_cpu {

struct GreyImage {
  const float *pixels; // rows from the top, 0..1
  int width, height;   // at least 2
};

// A photo that the reference is compared with. The reference's pixel (x, y) at inverse depth w lies
// at the point homography (x, y, 1) + w epipole of its image, in homogeneous pixels.
struct SweepView {
  GreyImage image;
  float homography[9], epipole[3];
};

// Planes of equal depth in front of the reference: inverse depths first + i step, i < planes.
struct SweepOptions {
  int planes;
  float first, step;
};

// For each pixel of the reference the inverse depth at which it looks most alike in two of the
// views, and how much: the mean of their normalised cross-correlations, -1..1 (with one view: its
// own). Both (H, W).
using PlaneSweep = void (*)(const GreyImage &reference, const SweepView *views, int n,
                            const SweepOptions &options, float *inverse_depth, float *score);

void plane_sweep_generic(const GreyImage &, const SweepView *, int, const SweepOptions &, float *,
                         float *);
#if defined(__x86_64__)
void plane_sweep_v2(const GreyImage &, const SweepView *, int, const SweepOptions &, float *,
                    float *);
void plane_sweep_v3(const GreyImage &, const SweepView *, int, const SweepOptions &, float *,
                    float *);
void plane_sweep_v4(const GreyImage &, const SweepView *, int, const SweepOptions &, float *,
                    float *);
#endif

} // namespace recon_cpu
