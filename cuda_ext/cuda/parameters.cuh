// Reading a splat's parameters out of their blocks: see recon/splats.h.
#pragma once

#include "cuda/frame.cuh"

namespace recon_cuda {

// Where row 0 of a splat lies; further rows follow at distances of kBlock.
template <class F> RECON_FN F *splat_parameters(F *blocks, uint32_t id) {
  return blocks + static_cast<size_t>(id / kBlock) * kBlockFloats + id % kBlock;
}

template <class F> RECON_FN F &row(F *splat, int r) { return splat[r * kBlock]; }

RECON_FN recon::Gaussian<float> load_gaussian(const float *p) {
  recon::Gaussian<float> g;
  for (int i = 0; i < 3; ++i)
    g.mean[i] = row(p, recon_types::kRowMean + i);
  for (int i = 0; i < 4; ++i)
    g.quat[i] = row(p, recon_types::kRowQuat + i);
  for (int i = 0; i < 3; ++i)
    g.log_scale[i] = row(p, recon_types::kRowLogScale + i);
  g.logit_opacity = row(p, recon_types::kRowOpacity);
  return g;
}

} // namespace recon_cuda
