// The engine for one instruction set. Compiled several times, with other -march flags and another
// RECON_ISA: see CMakeLists.txt. All kernels are in this one translation unit so that nothing of
// theirs is shared between instruction sets.

#include "cpu/engine.h"
#include "cpu/frame.h"

#include "cpu/bin.inl"
#include "cpu/loss.inl"
#include "cpu/project.inl"
#include "cpu/update.inl"

#include "cpu/micro.inl" // after bin.inl, whose slack it shares; before what takes tiles apart

#include "cpu/raster_backward.inl"
#include "cpu/raster_forward.inl"

#include "cpu/ceiling.inl" // repeats the tests of rasterisation

RECON_BEGIN

class EngineImpl final : public recon_cpu::Engine {
public:
  void forward(const float *params, int64_t n, const recon_cpu::View &view,
               const recon_cpu::RenderOptions &options) override {
    Frame &f = frame_;
    f.view = view;
    f.options = options;
    f.n = n;
    f.blocks = div_up(n, kBlock);
    f.tiles_x = static_cast<int>(div_up(view.width, kTile));
    f.tiles_y = static_cast<int>(div_up(view.height, kTile));
    f.stride = static_cast<int64_t>(f.tiles_x) * kTile;
    f.plane = f.stride * f.tiles_y * kTile;
    f.image.reserve(kImagePlanes * f.plane);
    f.image_grad.reserve(kGradPlanes * f.plane);

    Stopwatch watch;
    project(f, params);
    watch.lap(timings_.project);
    sort_by_depth(f);
    watch.lap(timings_.sort);
    bin(f);
    watch.lap(timings_.bin);
    raster_forward(f);
    watch.lap(timings_.raster_forward);
  }

  void read(float *color, float *alpha, float *depth_sum) const override {
    const Frame &f = frame_;
    for (int y = 0; y < f.view.height; ++y) {
      const float *row = f.image.data() + y * f.stride;
      const int64_t at = static_cast<int64_t>(y) * f.view.width;
      for (int x = 0; x < f.view.width; ++x) {
        if (color != nullptr)
          for (int c = 0; c < 3; ++c)
            color[3 * (at + x) + c] = row[c * f.plane + x];
        if (alpha != nullptr)
          alpha[at + x] = 1.0f - row[kPlaneT * f.plane + x];
        if (depth_sum != nullptr)
          depth_sum[at + x] = f.options.depth ? row[kPlaneDepth * f.plane + x] : 0.0f;
      }
    }
  }

  double loss(const uint8_t *target, const recon_cpu::LossOptions &options) override {
    Stopwatch watch;
    frame_.has_alpha_grad = frame_.has_depth_grad = false;
    const double value = photometric_loss(frame_, loss_scratch_, target, options);
    watch.lap(timings_.loss);
    return value;
  }

  void set_gradients(const float *color, const float *alpha, const float *depth_sum) override {
    Frame &f = frame_;
    f.has_alpha_grad = alpha != nullptr;
    f.has_depth_grad = depth_sum != nullptr;
    std::memset(f.image_grad.data(), 0, static_cast<size_t>(kGradPlanes * f.plane) * sizeof(float));
    for (int y = 0; y < f.view.height; ++y) {
      float *row = f.image_grad.data() + y * f.stride;
      const int64_t at = static_cast<int64_t>(y) * f.view.width;
      for (int x = 0; x < f.view.width; ++x) {
        for (int c = 0; c < 3; ++c)
          row[c * f.plane + x] = color[3 * (at + x) + c];
        if (alpha != nullptr)
          row[kPlaneGradAlpha * f.plane + x] = alpha[at + x];
        if (depth_sum != nullptr)
          row[kPlaneGradDepth * f.plane + x] = depth_sum[at + x];
      }
    }
  }

  void read_gradients(float *color) const override {
    const Frame &f = frame_;
    for (int y = 0; y < f.view.height; ++y)
      for (int x = 0; x < f.view.width; ++x)
        for (int c = 0; c < 3; ++c)
          color[3 * (static_cast<int64_t>(y) * f.view.width + x) + c] =
              f.image_grad[c * f.plane + y * f.stride + x];
  }

  void backward() override {
    Stopwatch watch;
    raster_backward(frame_);
    watch.lap(timings_.raster_backward);
  }

  void gradients(const float *params, float *out) override {
    Stopwatch watch;
    nonfinite_ = splat_gradients(frame_, params, out);
    watch.lap(timings_.splat_backward);
  }

  void adam(float *params, float *m, float *v, const recon_cpu::AdamOptions &options,
            const recon_cpu::SplatStats &stats) override {
    Stopwatch watch;
    nonfinite_ = splat_adam(frame_, params, m, v, options, stats);
    watch.lap(timings_.splat_backward);
  }

  void read_footprints(float *out) const override {
    std::memset(out, 0, static_cast<size_t>(frame_.n) * 16 * sizeof(float));
    for (int64_t id = 0; id < frame_.n; ++id)
      if (frame_.visible[id / kBlock] >> (id % kBlock) & 1) {
        const Record &r = frame_.records[id];
        float *o = out + id * 16;
        const float values[12] = {r.mx,
                                  r.my,
                                  r.a / (-0.5f * kLog2E),
                                  r.b / -kLog2E,
                                  r.c / (-0.5f * kLog2E),
                                  r.log2_opacity,
                                  r.color[0],
                                  r.color[1],
                                  r.color[2],
                                  r.depth,
                                  r.hx,
                                  r.hy};
        std::memcpy(o, values, sizeof(values));
      }
  }

  recon_cpu::Counts counts() const override {
    return {frame_.visible_count, frame_.pair_count, nonfinite_};
  }

  recon_cpu::Timings timings(bool reset) override {
    const recon_cpu::Timings out = timings_;
    if (reset)
      timings_ = {};
    return out;
  }

  recon_cpu::RasterWork work() const override { return raster_work(frame_); }
  recon_cpu::Ceilings ceilings() const override { return measure_ceilings(); }

private:
  struct Stopwatch {
    double start = recon_cpu::now_seconds();
    void lap(double &into) {
      const double now = recon_cpu::now_seconds();
      into += now - start;
      start = now;
    }
  };

  Frame frame_;
  LossScratch loss_scratch_;
  recon_cpu::Timings timings_ = {};
  int64_t nonfinite_ = 0;
};

RECON_END

namespace recon_cpu {
Engine *RECON_CREATE() { return new recon::EngineImpl(); }
} // namespace recon_cpu
