#include "cuda/field/engine.h"

#include "cuda/field/buffers.cuh"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace recon_cuda {

using recon::kMostSteps;
using recon_types::FieldImage;
using recon_types::MarchOptions;
using recon_types::RayBatch;

namespace {

constexpr int64_t kMostSamples = int64_t{1} << 30;
constexpr int64_t kLeastSamples = 1024;
constexpr int64_t kRenderRays = int64_t{1} << 15; // of a batch
// How many of the samples are expected to be live, as a part.
constexpr int64_t kLivePart = 4;

int64_t whole_warps(int64_t n) { return div_up(std::max<int64_t>(n, 1), kWarp) * kWarp; }

// Room for so many rays. Few sizes, because to grow is to wait for the device, and the number of
// rays changes from step to step.
int64_t ray_room(int64_t rays) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(rays, kWarp))));
}

// Room after a batch that wanted so many: more where there was little to spare.
int64_t grown(int64_t room, int64_t wanted) {
  if (wanted <= room - room / 8)
    return room;
  if (wanted > kMostSamples)
    throw OutOfDeviceMemory("a batch of rays has " + std::to_string(wanted) +
                            " samples, more than can be numbered");
  return whole_warps(std::min(wanted + wanted / 2, kMostSamples));
}

template <class T> T *pinned(size_t n) { return static_cast<T *>(pinned_allocate(n * sizeof(T))); }

// What a call needs in page-locked memory until the device has passed it: the distances of marching
// on their way there, and the status on its way back.
struct Slot {
  float *march = pinned<float>(2 * kMostSteps);
  FieldStatus *status = pinned<FieldStatus>(1);
  void *copied = event_create();

  Slot() = default;
  Slot(const Slot &) = delete;
  Slot &operator=(const Slot &) = delete;
  ~Slot() {
    event_destroy(copied);
    pinned_release(status);
    pinned_release(march);
  }
};

FieldResult result_of(const FieldStatus &s) {
  FieldResult out = {};
  out.loss = s.loss;
  out.error = s.error;
  out.marched = s.marched;
  out.live = s.live;
  out.samples = s.wanted_samples;
  out.wanted_live = s.wanted_live;
  out.complete = s.overflow == 0;
  return out;
}

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
  bool started = false;  // the totals were cleared
  // Those of training steps in turn, from the oldest whose result was not taken; and that of calls
  // that wait at their end.
  static constexpr int kSlots = kStepsAhead + 1;
  std::unique_ptr<Slot> slots[kSlots];
  Slot own;
  int oldest = 0, under_way = 0;
  FieldTotals *totals = pinned<FieldTotals>(1);
  FieldTotals drained = {};
  float *rates = pinned<float>(kAdamRates);
  MarchOptions march_now = {};
  int march_count = 0;
  float rates_beta1 = 0.0f, rates_beta2 = 0.0f;

  explicit Impl(int64_t wanted)
      : samples(whole_warps(std::clamp(wanted, kLeastSamples, kMostSamples))),
        live(whole_warps(samples / kLivePart)) {}
  ~Impl() {
    pinned_release(totals);
    pinned_release(rates);
  }

  int64_t allocated() {
    return images.bytes() + allocated_bytes(buffers, FieldWorkload{1, 1, 1, 1, 32});
  }

  // Makes room, or says what is missing.
  void reserve(const FieldWorkload &work, Stream stream) {
    reserve_all(buffers, work, [&] {
      return "a batch with room for " + std::to_string(work.rays) + " rays and " +
             std::to_string(work.samples) + " samples";
    });
    if (work.entries > cleared) { // all 0 between steps
      fill_zero(buffers.table_gradient.data(), static_cast<size_t>(buffers.table_gradient.bytes()),
                stream);
      fill_zero(buffers.touched.data(), static_cast<size_t>(buffers.touched.bytes()), stream);
      cleared = work.entries;
    }
    if (work.entries > 0 && !started) {
      fill_zero(buffers.totals.data(), sizeof(FieldTotals), stream);
      started = true;
    }
  }

  // A batch of rays with the present room; `entries` as in FieldWorkload.
  void begin(const FieldShape &shape, const FieldWeights &weights, int64_t rays, int64_t entries,
             int grid, Stream stream) {
    if (rays > kMostSamples)
      throw OutOfDeviceMemory("a batch of " + std::to_string(rays) +
                              " rays is more than can be numbered");
    reserve({ray_room(rays), samples, live, entries, grid}, stream);
    FieldFrame &f = frame;
    const FieldBuffers &b = buffers;
    f.shape = shape;
    f.weights = weights;
    f.bits = b.bits.data();
    f.coarse = b.coarse.data();
    f.rays = static_cast<uint32_t>(rays);
    f.ray_capacity = static_cast<uint32_t>(ray_room(rays));
    f.sample_capacity = static_cast<uint32_t>(samples);
    f.live_capacity = static_cast<uint32_t>(live);
    f.status = b.status.data();
    f.totals = nullptr;
    f.ray = b.ray.data();
    f.train = b.train.data();
    f.ray_bias = b.ray_bias.data();
    f.round_counts = b.round_counts.data();
    f.round_begins = b.round_begins.data();
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

  // After `begin`. The slot must not be in use by work that is still under way.
  void set_march(const MarchOptions &options, const Slot &slot, Stream stream) {
    if (march_count == 0 || std::memcmp(&march_now, &options, sizeof(options)) != 0) {
      float *t = slot.march, *dt = slot.march + kMostSteps;
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
    if (rates_beta1 != 0.0f || rates_beta2 != 0.0f)
      synchronise(stream); // others may be on their way; they are the same all through a training
    double p1 = 1.0, p2 = 1.0;
    for (int i = 0; i < kAdamRates; ++i) {
      p1 *= static_cast<double>(o.beta1);
      p2 *= static_cast<double>(o.beta2);
      rates[i] = static_cast<float>(std::sqrt(1.0 - p2) / (1.0 - p1));
    }
    copy_to_device(buffers.rates.data(), rates, kAdamRates * sizeof(float), stream);
    rates_beta1 = o.beta1;
    rates_beta2 = o.beta2;
  }

  void trace(Stream stream) {
    for (int round = 0; round < kRounds; ++round) {
      march(frame, round, stream);
      encode(frame, stream);
      evaluate_density(frame, stream);
      blend_rays(frame, round, stream);
    }
    list_live(frame, stream);
    forward_live(frame, stream);
  }

  // Forward and backward on rays that `make` makes, after `begin` and `set_march`.
  template <class Make>
  void differentiate(const StepOptions &options, float *rendered, Stream stream, Make &&make) {
    make();
    trace(stream);
    ray_losses(frame, options.huber_delta, options.distortion, rendered, stream);
    backward_live(frame, stream);
    weight_gradients(frame, stream);
    scatter(frame, stream);
  }

  // Waits. Whether the batch was complete; if not, there is more room for the next one.
  bool finish(Stream stream) {
    copy_to_host(own.status, frame.status, sizeof(FieldStatus), stream);
    synchronise(stream);
    const FieldStatus &s = *own.status;
    if (s.overflow != 0)
      make_room(s.wanted_samples, s.wanted_live);
    return s.overflow == 0;
  }

  void make_room(int64_t wanted_samples, int64_t wanted_live) {
    samples = grown(samples, wanted_samples);
    live = grown(live, wanted_live);
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

void FieldEngine::train_step(const FieldShape &shape, const FieldState &state,
                             const MarchOptions &march, const StepOptions &options, Stream stream) {
  Impl &e = *impl_;
  if (e.under_way == Impl::kSlots)
    throw std::logic_error("the results of earlier steps must be taken first");
  std::unique_ptr<Slot> &next = e.slots[(e.oldest + e.under_way) % Impl::kSlots];
  if (next == nullptr)
    next = std::make_unique<Slot>();
  const Slot &slot = *next; // the result of its last step was taken: the device is past it
  e.begin(shape, {state.table_half, state.mlp}, options.rays, shape.offset[kLevels], shape.grid,
          stream);
  e.frame.totals = e.buffers.totals.data();
  e.set_march(march, slot, stream);
  e.set_rates(options, stream);
  e.differentiate(options, nullptr, stream, [&] {
    random_rays(e.frame, {e.images.data(), e.image_count}, state.exposure, options, stream);
  });
  update_table(e.frame, state, options, e.buffers.rates.data(), stream);
  update_networks(e.frame, state, options, e.image_count, stream);
  copy_to_host(slot.status, e.frame.status, sizeof(FieldStatus), stream);
  event_record(slot.copied, stream);
  ++e.under_way;
}

FieldResult FieldEngine::take_result() {
  Impl &e = *impl_;
  if (e.under_way == 0)
    throw std::logic_error("no step is under way");
  const Slot &slot = *e.slots[e.oldest];
  event_wait(slot.copied);
  e.oldest = (e.oldest + 1) % Impl::kSlots;
  --e.under_way;
  return result_of(*slot.status);
}

FieldDrained FieldEngine::drain(Stream stream) {
  Impl &e = *impl_;
  if (!e.started)
    return {};
  copy_to_host(e.totals, e.buffers.totals.data(), sizeof(FieldTotals), stream);
  synchronise(stream);
  const FieldTotals now = *e.totals, before = e.drained;
  e.drained = now;
  return {now.loss - before.loss, static_cast<int64_t>(now.losses - before.losses),
          static_cast<int64_t>(now.skipped - before.skipped)};
}

void FieldEngine::set_room(const FieldRoom &room) {
  impl_->samples = whole_warps(std::clamp(room.samples, kLeastSamples, kMostSamples));
  impl_->live = whole_warps(std::clamp<int64_t>(room.live, 1, kMostSamples));
}

void FieldEngine::make_room(int64_t samples, int64_t live) { impl_->make_room(samples, live); }

FieldRoom FieldEngine::room() const { return {impl_->samples, impl_->live}; }

FieldResult FieldEngine::gradients(const FieldShape &shape, const FieldState &state,
                                   const MarchOptions &march, const StepOptions &options,
                                   const RayBatch &rays, float *table, float *mlp, float *exposure,
                                   float *color, Stream stream) {
  Impl &e = *impl_;
  do {
    e.begin(shape, {state.table_half, state.mlp}, rays.n, shape.offset[kLevels], shape.grid,
            stream);
    e.set_march(march, e.own, stream);
    e.differentiate(options, color, stream,
                    [&] { given_rays(e.frame, rays, state.exposure, stream); });
    read_table_gradients(e.frame, table, stream);
    read_network_gradients(e.frame, state, options, e.image_count, mlp, exposure, stream);
  } while (!e.finish(stream));
  return result_of(*e.own.status);
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
      e.set_march(march, e.own, stream);
      view_rays(e.frame, view, near, first, stream);
      e.trace(stream);
      shade_rays(e.frame, background, first, color, alpha, depth, stream);
    } while (!e.finish(stream));
}

int64_t FieldEngine::allocated() const { return impl_->allocated(); }

} // namespace recon_cuda
