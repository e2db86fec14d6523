// The device memory of a field engine.
#pragma once

#include "cuda/buffer.h"
#include "cuda/field/engine.h"
#include "cuda/field/frame.cuh"

namespace recon_cuda {

// Every buffer of an engine; see cuda/buffer.h.
struct FieldBuffers {
  DeviceBuffer<FieldStatus> status;
  DeviceBuffer<FieldTotals> totals;
  DeviceBuffer<float> march_t, march_dt, rates;
  DeviceBuffer<RayState> ray;
  DeviceBuffer<TrainRay> train;
  DeviceBuffer<uint32_t> round_counts, round_begins, ray_live, live_begin, owner, live, touched,
      cell_counts;
  DeviceBuffer<float> ray_bias, ray_exposure, u, t, dt, encoded, raw, opacity, weight, after;
  DeviceBuffer<float> live_encoded, h1, geometry, h2, h3, color;
  DeviceBuffer<float> d_out, d_density, d_h3, d_h2, d_geometry, d_h1, d_encoded;
  DeviceBuffer<float> transposed, weight_parts;
  DeviceBuffer<double> loss_parts, cell_parts;
  DeviceBuffer<unsigned long long> table_gradient;
  DeviceBuffer<uint8_t> bits, coarse, coarse_scratch;

  template <class Visit> void visit(const FieldWorkload &w, Visit &&visit) {
    const int64_t rays = w.rays, samples = w.samples, live = w.live;
    visit(status, 1);
    visit(march_t, recon::kMostSteps);
    visit(march_dt, recon::kMostSteps);
    visit(ray, rays);
    visit(train, rays);
    visit(ray_bias, kHidden * rays);
    visit(round_counts, kRounds * rays);
    visit(round_begins, kRounds * rays);
    visit(ray_live, rays);
    visit(live_begin, rays);
    visit(u, 3 * samples);
    visit(t, samples);
    visit(dt, samples);
    visit(owner, samples);
    visit(encoded, kEncoded * samples);
    visit(raw, samples);
    visit(opacity, samples);
    visit(weight, samples);
    visit(after, samples);
    visit(this->live, live);
    visit(live_encoded, kEncoded * live);
    visit(h1, kHidden * live);
    visit(geometry, kGeometry * live);
    visit(h2, kHidden * live);
    visit(h3, kHidden * live);
    visit(color, kColors * live);
    visit(bits, cube(w.grid) / 8);
    visit(coarse, cube(w.grid / recon::kCoarse));
    visit(coarse_scratch, cube(w.grid / recon::kCoarse));
    if (w.entries == 0)
      return;
    visit(totals, 1);
    visit(rates, kAdamRates);
    visit(ray_exposure, kColors * rays);
    visit(loss_parts, 2 * div_up(rays, kFieldThreads));
    visit(d_out, kColors * live);
    visit(d_density, live);
    visit(d_h3, kHidden * live);
    visit(d_h2, kHidden * live);
    visit(d_geometry, kGeometry * live);
    visit(d_h1, kHidden * live);
    visit(d_encoded, kEncoded * live);
    visit(transposed, kWeights);
    visit(weight_parts, kChunks * kWeights);
    visit(table_gradient, kFeatures * w.entries);
    visit(touched, div_up(w.entries, 32));
    visit(cell_counts, div_up(samples, kFieldThreads));
    visit(cell_parts, 2 * div_up(cube(w.grid), kFieldThreads));
  }
};

} // namespace recon_cuda
