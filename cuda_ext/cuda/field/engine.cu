#include "cuda/field/engine.h"

#include "cuda/field/buffers.cuh"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace recon_cuda {

using recon::kMostSteps;
using recon_types::FieldImage;
using recon_types::MarchOptions;
using recon_types::RayBatch;
using recon_types::StepResult;

namespace {

constexpr int64_t kMostSamples = int64_t{1} << 30;
constexpr int64_t kLeastSamples = 1024;
constexpr int64_t kRenderRays = int64_t{1} << 15; // of a batch
// How many of the samples are expected to be live, as a part.
constexpr int64_t kLivePart = 4;

int64_t whole_warps(int64_t n) { return div_up(std::max<int64_t>(n, 1), kWarp) * kWarp; }

} // namespace

int64_t field_engine_bytes(const FieldWorkload &work) {
  FieldBuffers none;
  return missing_bytes(none, work);
}

struct FieldEngine::Impl {
  FieldBuffers buffers;
  DeviceBuffer<FieldImage> images;
  int image_count = 0;
  FieldFrame frame = {};
  int64_t samples, live; // room
  int64_t cleared = 0;   // entries whose sums of gradients were cleared
  FieldStatus *mirror = static_cast<FieldStatus *>(pinned_allocate(sizeof(FieldStatus)));
  float *march_staging = static_cast<float *>(pinned_allocate(2 * kMostSteps * sizeof(float)));
  MarchOptions march_now = {};
  int march_count = 0;
  float rates_beta1 = 0.0f, rates_beta2 = 0.0f;

  explicit Impl(int64_t wanted)
      : samples(whole_warps(std::clamp(wanted, kLeastSamples, kMostSamples))),
        live(whole_warps(samples / kLivePart)) {}
  ~Impl() {
    pinned_release(mirror);
    pinned_release(march_staging);
  }

  int64_t allocated() {
    return images.bytes() + allocated_bytes(buffers, FieldWorkload{1, 1, 1, 1, 32});
  }

  // Makes room, or says what is missing.
  void reserve(const FieldWorkload &work, Stream stream) {
    reserve_all(buffers, work, [&] {
      return "a batch of " + std::to_string(work.rays) + " rays with room for " +
             std::to_string(work.samples) + " samples";
    });
    if (work.entries > cleared) { // all 0 between steps
      fill_zero(buffers.table_gradient.data(), static_cast<size_t>(buffers.table_gradient.bytes()),
                stream);
      fill_zero(buffers.touched.data(), static_cast<size_t>(buffers.touched.bytes()), stream);
      cleared = work.entries;
    }
  }

  // A batch of rays with the present room; `entries` as in FieldWorkload.
  void begin(const FieldShape &shape, const FieldWeights &weights, int64_t rays, int64_t entries,
             int grid, Stream stream) {
    reserve({whole_warps(rays), samples, live, entries, grid}, stream);
    FieldFrame &f = frame;
    const FieldBuffers &b = buffers;
    f.shape = shape;
    f.weights = weights;
    f.bits = b.bits.data();
    f.coarse = b.coarse.data();
    f.rays = static_cast<uint32_t>(rays);
    f.ray_capacity = static_cast<uint32_t>(whole_warps(rays));
    f.sample_capacity = static_cast<uint32_t>(samples);
    f.live_capacity = static_cast<uint32_t>(live);
    f.status = b.status.data();
    f.ray = b.ray.data();
    f.train = b.train.data();
    f.ray_bias = b.ray_bias.data();
    f.ray_samples = b.ray_samples.data();
    f.sample_begin = b.sample_begin.data();
    f.ray_live = b.ray_live.data();
    f.live_begin = b.live_begin.data();
    f.ray_exposure = b.ray_exposure.data();
    f.loss_parts = b.loss_parts.data();
    f.u = b.u.data();
    f.t = b.t.data();
    f.dt = b.dt.data();
    f.owner = b.owner.data();
    f.encoded = b.encoded.data();
    f.raw = b.raw.data();
    f.opacity = b.opacity.data();
    f.weight = b.weight.data();
    f.after = b.after.data();
    f.live = b.live.data();
    f.live_encoded = b.live_encoded.data();
    f.h1 = b.h1.data();
    f.geometry = b.geometry.data();
    f.h2 = b.h2.data();
    f.h3 = b.h3.data();
    f.color = b.color.data();
    f.d_out = b.d_out.data();
    f.d_density = b.d_density.data();
    f.d_h3 = b.d_h3.data();
    f.d_h2 = b.d_h2.data();
    f.d_geometry = b.d_geometry.data();
    f.d_h1 = b.d_h1.data();
    f.d_encoded = b.d_encoded.data();
    f.transposed = b.transposed.data();
    f.weight_parts = b.weight_parts.data();
    f.table_gradient = b.table_gradient.data();
    f.touched = b.touched.data();
    fill_zero(f.status, sizeof(FieldStatus), stream);
  }

  // After `begin`.
  void set_march(const MarchOptions &options, Stream stream) {
    if (march_count == 0 || std::memcmp(&march_now, &options, sizeof(options)) != 0) {
      float *t = march_staging, *dt = march_staging + kMostSteps;
      march_now = options;
      march_count = recon::for_march_steps(options, [&](int i, float at, float step) {
        t[i] = at;
        dt[i] = step;
      });
      const auto bytes = static_cast<size_t>(march_count) * sizeof(float);
      copy_to_device(buffers.march_t.data(), t, bytes, stream);
      copy_to_device(buffers.march_dt.data(), dt, bytes, stream);
    }
    frame.march = options;
    frame.table = {buffers.march_t.data(), buffers.march_dt.data(), march_count, options.far};
  }

  // Adam's corrections for an entry's first, second, ... update.
  void set_rates(const StepOptions &o, Stream stream) {
    if (rates_beta1 == o.beta1 && rates_beta2 == o.beta2)
      return;
    std::vector<float> rates(kAdamRates);
    double p1 = 1.0, p2 = 1.0;
    for (float &r : rates) {
      p1 *= static_cast<double>(o.beta1);
      p2 *= static_cast<double>(o.beta2);
      r = static_cast<float>(std::sqrt(1.0 - p2) / (1.0 - p1));
    }
    copy_to_device(buffers.rates.data(), rates.data(), kAdamRates * sizeof(float), stream);
    synchronise(stream); // the list is gone after this
    rates_beta1 = o.beta1;
    rates_beta2 = o.beta2;
  }

  void trace(Stream stream) {
    march(frame, stream);
    encode(frame, stream);
    evaluate_density(frame, stream);
    blend_rays(frame, stream);
    forward_live(frame, stream);
  }

  // Waits. Whether the batch was complete; if not, there is more room for the next one.
  bool finish(Stream stream) {
    copy_to_host(mirror, frame.status, sizeof(FieldStatus), stream);
    synchronise(stream);
    if (mirror->overflow == 0)
      return true;
    auto grown = [](int64_t room, int64_t wanted) {
      if (wanted > kMostSamples)
        throw OutOfDeviceMemory("a batch of rays has " + std::to_string(wanted) +
                                " samples, more than can be numbered");
      return wanted > room ? whole_warps(wanted + wanted / 4) : room;
    };
    samples = grown(samples, mirror->wanted_samples);
    live = grown(live, mirror->wanted_live);
    return false;
  }

  // Forward and backward on rays that `make` makes.
  template <class Make, class Use>
  StepResult step(const FieldShape &shape, const FieldState &state, const MarchOptions &options,
                  float huber_delta, int64_t rays, float *rendered, Stream stream, Make &&make,
                  Use &&use) {
    if (rays > kMostSamples)
      throw OutOfDeviceMemory("a step has too many rays");
    do {
      begin(shape, {state.table_half, state.mlp}, rays, shape.offset[kLevels], shape.grid, stream);
      set_march(options, stream);
      make();
      trace(stream);
      ray_losses(frame, huber_delta, rendered, stream);
      backward_live(frame, stream);
      weight_gradients(frame, stream);
      scatter(frame, stream);
      use();
    } while (!finish(stream));
    return {mirror->loss, mirror->error, mirror->marched, mirror->live};
  }
};

FieldEngine::FieldEngine(int64_t samples) : impl_(std::make_unique<Impl>(samples)) {}
FieldEngine::~FieldEngine() = default;

void FieldEngine::set_images(const FieldImage *images, int n, Stream stream) {
  impl_->images.reserve(n);
  copy_to_device(impl_->images.data(), images, static_cast<size_t>(n) * sizeof(FieldImage), stream);
  synchronise(stream);
  impl_->image_count = n;
}

void FieldEngine::set_occupancy(const FieldShape &shape, const uint8_t *bits, Stream stream) {
  Impl &e = *impl_;
  e.reserve({1, 1, 1, 0, shape.grid}, stream);
  e.frame.shape = shape;
  copy_occupancy(e.frame, bits, e.buffers.bits.data(), e.buffers.coarse.data(),
                 e.buffers.coarse_scratch.data(), stream);
}

void FieldEngine::update_grid(const FieldShape &shape, const FieldWeights &weights, float *density,
                              uint8_t *bits, const GridOptions &options, Stream stream) {
  Impl &e = *impl_;
  e.begin(shape, weights, 1, shape.offset[kLevels], shape.grid, stream);
  e.frame.bits = bits;
  const int64_t cells = cube(shape.grid);
  for (int64_t first = 0; first < cells; first += e.samples) {
    const auto count = static_cast<uint32_t>(std::min(e.samples, cells - first));
    pick_cells(e.frame, density, options, first, count, e.buffers.cell_counts.data(), stream);
    encode(e.frame, stream);
    recon_cuda::evaluate_density(e.frame, stream);
    store_cells(e.frame, density, options, stream);
  }
  threshold_cells(e.frame, density, options, e.buffers.cell_parts.data(), bits, stream);
  set_occupancy(shape, bits, stream);
}

StepResult FieldEngine::train_step(const FieldShape &shape, const FieldState &state,
                                   const MarchOptions &march, const StepOptions &options,
                                   Stream stream) {
  Impl &e = *impl_;
  return e.step(
      shape, state, march, options.huber_delta, options.rays, nullptr, stream,
      [&] {
        e.set_rates(options, stream);
        random_rays(e.frame, {e.images.data(), e.image_count}, state.exposure, options, stream);
      },
      [&] {
        update_table(e.frame, state, options, e.buffers.rates.data(), stream);
        update_networks(e.frame, state, options, e.image_count, stream);
      });
}

StepResult FieldEngine::gradients(const FieldShape &shape, const FieldState &state,
                                  const MarchOptions &march, const StepOptions &options,
                                  const RayBatch &rays, float *table, float *mlp, float *exposure,
                                  float *color, Stream stream) {
  Impl &e = *impl_;
  return e.step(
      shape, state, march, options.huber_delta, rays.n, color, stream,
      [&] { given_rays(e.frame, rays, state.exposure, stream); },
      [&] {
        read_table_gradients(e.frame, table, stream);
        read_network_gradients(e.frame, state, options, e.image_count, mlp, exposure, stream);
      });
}

void FieldEngine::query(const FieldShape &shape, const FieldWeights &weights, int64_t n,
                        const float *points, const float *directions, float *encoded,
                        float *density, float *color, Stream stream) {
  Impl &e = *impl_;
  const int64_t batch = std::min(e.samples, e.live);
  for (int64_t first = 0; first < n; first += batch) {
    e.begin(shape, weights, std::min(batch, n - first), 0, 0, stream);
    point_samples(e.frame, points + 3 * first,
                  directions == nullptr ? nullptr : directions + 3 * first, stream);
    encode(e.frame, stream);
    recon_cuda::evaluate_density(e.frame, stream);
    if (directions != nullptr && color != nullptr) {
      take_all(e.frame, stream);
      forward_live(e.frame, stream);
    }
    read_points(e.frame, first, encoded, density, directions == nullptr ? nullptr : color, stream);
  }
}

void FieldEngine::render(const FieldShape &shape, const FieldWeights &weights,
                         const MarchOptions &march, const recon_types::View &view, float near,
                         const float background[3], float *color, float *alpha, float *depth,
                         Stream stream) {
  Impl &e = *impl_;
  const int64_t pixels = static_cast<int64_t>(view.width) * view.height;
  for (int64_t first = 0; first < pixels; first += kRenderRays)
    do {
      e.begin(shape, weights, std::min(kRenderRays, pixels - first), 0, 0, stream);
      e.set_march(march, stream);
      view_rays(e.frame, view, near, first, stream);
      e.trace(stream);
      shade_rays(e.frame, background, first, color, alpha, depth, stream);
    } while (!e.finish(stream));
}

int64_t FieldEngine::allocated() const { return impl_->allocated(); }

} // namespace recon_cuda
