#include "cuda/engine.h"

#include "cuda/buffer.h"
#include "cuda/frame.cuh"
#include "cuda/radix_sort.cuh"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace recon_cuda {

namespace {

// Slots are 32-bit numbers and sums are addressed by them.
constexpr int64_t kMostPairs = int64_t{1} << 30;
constexpr int64_t kMostSplats = int64_t{1} << 30;
constexpr int64_t kMostTiles = int64_t{1} << 24;

// Every buffer of an engine; see cuda/buffer.h.
struct Buffers {
  DeviceBuffer<Status> status;
  DeviceBuffer<float4> records;
  DeviceBuffer<uint32_t> depth_keys, sort_keys[2], sort_ids[2], touched, scan, slot_begin,
      slot_count, pair_tiles[2], digits, tile_begin, bucket_begin, open_buckets, bucket_tile;
  DeviceBuffer<uint2> pair_entries[2];
  DeviceBuffer<float> states, sums, image, image_grad, ssim_maps;
  DeviceBuffer<double> loss_parts;

  template <class Visit> void visit(const Workload &w, Visit &&visit) {
    const int64_t n = w.splats, pairs = w.pairs;
    const int64_t pixels = static_cast<int64_t>(w.width) * w.height;
    const int64_t tiles = div_up(w.width, kTile) * div_up(w.height, kTile);
    const int64_t buckets = pairs / kBucket + tiles;
    visit(status, 1);
    visit(records, n * kRecordVectors);
    visit(depth_keys, n);
    for (int i = 0; i < 2; ++i) {
      visit(sort_keys[i], n);
      visit(sort_ids[i], n);
      visit(pair_tiles[i], pairs);
      visit(pair_entries[i], pairs);
    }
    visit(touched, n);
    visit(scan, div_up(n, 256));
    visit(slot_begin, n);
    visit(slot_count, n);
    visit(digits, std::max(sort_scratch(n), sort_scratch(pairs)));
    visit(tile_begin, tiles + 1);
    visit(bucket_begin, tiles + 1);
    visit(image, kImagePlanes * pixels);
    if (!w.training)
      return;
    visit(open_buckets, tiles);
    visit(bucket_tile, buckets);
    visit(states, buckets * kTilePixels * (w.depth ? kStatePlanes : kStatePlanes - 1));
    visit(sums, pairs * kSums);
    visit(image_grad, kGradPlanes * pixels);
    visit(ssim_maps, 9 * pixels);
    visit(loss_parts, 2 * tiles); // the loss has blocks as large as tiles
  }
};

} // namespace

int64_t engine_bytes(const Workload &work) {
  Buffers none;
  return missing_bytes(none, work);
}

struct Engine::Impl {
  Buffers buffers;
  Frame frame = {};
  int64_t pairs;
  const float *params = nullptr;
  bool started = false; // the status was cleared
  // The status as it was some steps ago, and the event that tells whether the copy is there.
  Status *mirror = static_cast<Status *>(pinned_allocate(sizeof(Status)));
  void *copied = event_create();
  bool copying = false;
  uint64_t most_wanted = 0; // pairs, by the news so far
  Status drained = {};

  explicit Impl(int64_t wanted) : pairs(std::clamp<int64_t>(wanted, 1, kMostPairs)) {}
  ~Impl() {
    event_destroy(copied);
    pinned_release(mirror);
  }

  int64_t allocated() { return allocated_bytes(buffers, Workload{0, 0, 1, 1, true, true}); }

  // Makes room for the frame's view and `pairs` pairs, or says what is missing.
  void reserve(Stream stream) {
    Frame &f = frame;
    const Workload work = {f.n, pairs, f.view.width, f.view.height, f.options.depth, f.keep};
    reserve_all(buffers, work, [&] {
      return "rendering " + std::to_string(f.n) + " splats at " + std::to_string(f.view.width) +
             "x" + std::to_string(f.view.height) + " with room for " + std::to_string(pairs) +
             " tile entries";
    });
    if (!started) {
      fill_zero(buffers.status.data(), sizeof(Status), stream);
      started = true;
    }
    f.pair_capacity = static_cast<uint32_t>(pairs);
    f.state_planes = f.options.depth ? kStatePlanes : kStatePlanes - 1;
    f.status = buffers.status.data();
    f.records = buffers.records.data();
    f.depth_keys = buffers.depth_keys.data();
    for (int i = 0; i < 2; ++i) {
      f.sort_keys[i] = buffers.sort_keys[i].data();
      f.sort_ids[i] = buffers.sort_ids[i].data();
      f.pair_tiles[i] = buffers.pair_tiles[i].data();
      f.pair_entries[i] = buffers.pair_entries[i].data();
    }
    f.touched = buffers.touched.data();
    f.scan = buffers.scan.data();
    f.slot_begin = buffers.slot_begin.data();
    f.slot_count = buffers.slot_count.data();
    f.digits = buffers.digits.data();
    f.tile_begin = buffers.tile_begin.data();
    f.bucket_begin = buffers.bucket_begin.data();
    f.open_buckets = buffers.open_buckets.data();
    f.bucket_tile = buffers.bucket_tile.data();
    f.states = buffers.states.data();
    f.sums = buffers.sums.data();
    f.image = buffers.image.data();
    f.image_grad = buffers.image_grad.data();
    f.ssim_maps = buffers.ssim_maps.data();
    f.loss_parts = buffers.loss_parts.data();
  }

  void render(Stream stream) {
    reserve(stream);
    project(frame, params, stream);
    sort_by_depth(frame, stream);
    frame.entries = bin(frame, stream);
    raster_forward(frame, stream);
  }

  // Takes in the news of an earlier view, if they have come.
  void read_news() {
    if (copying && event_passed(copied)) {
      copying = false;
      most_wanted = std::max(most_wanted, mirror->most_wanted);
    }
  }

  // Grows the room for pairs where an earlier view had none to spare.
  void grow() {
    const auto wanted = static_cast<int64_t>(std::min<uint64_t>(most_wanted, kMostPairs));
    if (wanted > pairs - pairs / 8)
      pairs = std::min(wanted + wanted / 2, kMostPairs);
  }

  void ask_for_news(Stream stream) {
    if (copying)
      return;
    copy_to_host(mirror, frame.status, sizeof(Status), stream);
    event_record(copied, stream);
    copying = true;
  }

  Status status(Stream stream) {
    Status out = {};
    if (!started)
      return out;
    copy_to_host(mirror, frame.status, sizeof(Status), stream);
    synchronise(stream);
    copying = false;
    most_wanted = std::max(most_wanted, mirror->most_wanted);
    return *mirror;
  }

  void require_training() const {
    if (!frame.keep)
      throw std::logic_error("the last forward was not for training");
  }
};

Engine::Engine(int64_t pairs) : impl_(std::make_unique<Impl>(pairs)) {}
Engine::~Engine() = default;

void Engine::forward(const float *params, int64_t n, const recon_types::View &view,
                     const recon_types::RenderOptions &options, bool training, Stream stream) {
  Frame &f = impl_->frame;
  f.tiles_x = static_cast<int>(div_up(view.width, kTile));
  f.tiles_y = static_cast<int>(div_up(view.height, kTile));
  if (n < 0 || n > kMostSplats || static_cast<int64_t>(f.tiles_x) * f.tiles_y > kMostTiles)
    throw std::invalid_argument("too many splats or pixels");
  f.view = view;
  f.options = options;
  f.n = static_cast<uint32_t>(n);
  f.keep = training;
  f.has_alpha_grad = f.has_depth_grad = false;
  impl_->params = params;
  impl_->read_news();
  impl_->grow();
  impl_->render(stream);
  impl_->ask_for_news(stream);
}

void Engine::read(float *color, float *alpha, float *depth_sum, Stream stream) {
  for (Status s = impl_->status(stream); s.overflow != 0; s = impl_->status(stream)) {
    if (static_cast<int64_t>(s.wanted) > kMostPairs)
      throw OutOfDeviceMemory("a view has " + std::to_string(s.wanted) +
                              " tile entries, more than can be numbered");
    impl_->pairs = static_cast<int64_t>(s.wanted + s.wanted / 4);
    impl_->render(stream);
  }
  read_images(impl_->frame, color, alpha, depth_sum, stream);
}

void Engine::loss(const uint8_t *target, const recon_types::LossOptions &options, Stream stream) {
  impl_->require_training();
  impl_->frame.has_alpha_grad = impl_->frame.has_depth_grad = false;
  photometric_loss(impl_->frame, target, options, stream);
}

void Engine::set_gradients(const float *color, const float *alpha, const float *depth_sum,
                           Stream stream) {
  impl_->require_training();
  if (depth_sum != nullptr && !impl_->frame.options.depth)
    throw std::logic_error("the last forward rendered no depth");
  impl_->frame.has_alpha_grad = alpha != nullptr;
  impl_->frame.has_depth_grad = depth_sum != nullptr;
  write_gradients(impl_->frame, color, alpha, depth_sum, stream);
}

void Engine::read_gradients(float *color, Stream stream) {
  impl_->require_training();
  recon_cuda::read_gradients(impl_->frame, color, stream);
}

void Engine::backward(Stream stream) {
  impl_->require_training();
  raster_backward(impl_->frame, stream);
}

void Engine::gradients(const float *params, float *out, Stream stream) {
  splat_gradients(impl_->frame, params, out, stream);
}

void Engine::adam(float *params, float *m, float *v, const recon_types::AdamOptions &options,
                  const recon_types::SplatStats &stats, Stream stream) {
  splat_adam(impl_->frame, params, m, v, options, stats, stream);
}

void Engine::read_footprints(float *out, Stream stream) {
  recon_cuda::read_footprints(impl_->frame, out, stream);
}

Counts Engine::counts(Stream stream) {
  const Status s = impl_->status(stream);
  return {s.visible, static_cast<int64_t>(s.wanted)};
}

Drained Engine::drain(Stream stream) {
  const Status now = impl_->status(stream), &before = impl_->drained;
  const Drained out = {now.loss_sum - before.loss_sum, now.last_loss,
                       static_cast<int64_t>(now.losses - before.losses),
                       static_cast<int64_t>(now.skipped - before.skipped),
                       static_cast<int64_t>(now.nonfinite - before.nonfinite)};
  impl_->drained = now;
  return out;
}

int64_t Engine::pair_capacity() const { return impl_->pairs; }
int64_t Engine::allocated() const { return impl_->allocated(); }

} // namespace recon_cuda
