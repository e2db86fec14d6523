// The field engine for one instruction set; see cpu/engine_impl.cpp.

#include "cpu/field/field.h"
#include "cpu/field/state.h"

#include "cpu/field/mlp.inl"

#include "cpu/field/encode.inl"
#include "cpu/field/march.inl"

#include "cpu/field/grid.inl"
#include "cpu/field/optimise.inl"
#include "cpu/field/render.inl"
#include "cpu/field/train.inl"

RECON_BEGIN

class FieldEngineImpl final : public recon_cpu::FieldEngine {
public:
  ~FieldEngineImpl() override { drop_scratch(); }

  void set_images(const FieldImage *images, int n) override {
    images_.reserve(n);
    std::memcpy(images_.data(), images, static_cast<size_t>(n) * sizeof(FieldImage));
    image_count_ = n;
  }

  void mark_visible(const FieldShape &shape, float near, bool carve, float *density) override {
    recon::mark_visible(shape, images_.data(), image_count_, near, carve, density);
  }

  void set_occupancy(const FieldShape &shape, const uint8_t *bits) override {
    recon::set_occupancy(space_, shape, bits);
  }

  void update_grid(const FieldShape &shape, const FieldWeights &weights, float *density,
                   uint8_t *bits, const recon_cpu::GridOptions &options) override {
    prepare_scratch();
    recon::update_grid(shape, weights, density, bits, options, space_, scratch_);
  }

  recon_cpu::StepResult train_step(const FieldShape &shape, const FieldState &state,
                                   const MarchOptions &march,
                                   const recon_cpu::StepOptions &options) override {
    const recon_cpu::StepResult result = forward_backward(
        shape, state, march, options, options.rays, nullptr,
        [&](int64_t i, RayState &ray, TrainRay &train) {
          random_ray(shape, images_.data(), image_count_, state.exposure, options, i, ray, train);
        });
    update(shape, state, options);
    return result;
  }

  recon_cpu::StepResult gradients(const FieldShape &shape, const FieldState &state,
                                  const MarchOptions &march, const recon_cpu::StepOptions &options,
                                  const recon_cpu::RayBatch &rays, float *table, float *mlp,
                                  float *exposure, float *color) override {
    const recon_cpu::StepResult result =
        forward_backward(shape, state, march, options, rays.n, color,
                         [&](int64_t i, RayState &ray, TrainRay &train) {
                           given_ray(shape, rays, state.exposure, i, ray, train);
                         });
    for (int level = 0; level < kLevels; ++level)
      scatter_level(shape, level, groups_, table + shape.offset[level] * kFeatures, nullptr);
    sum_mlp(groups_, state.mlp, options.mlp_decay, mlp);
    if (exposure != nullptr && state.exposure != nullptr)
      sum_exposure(state, rays.n, options, exposure);
    return result;
  }

  void query(const FieldShape &shape, const FieldWeights &weights, int64_t n, const float *points,
             const float *directions, float *encoded, float *density, float *color) override {
    prepare_scratch();
    query_points(shape, weights, n, points, directions, encoded, density, color, scratch_);
  }

  void render(const FieldShape &shape, const FieldWeights &weights, const MarchOptions &march,
              const recon_cpu::View &view, float near, const float background[3], float *color,
              float *alpha, float *depth) override {
    prepare_scratch();
    set_march(space_, march);
    render_view(space_, shape, weights, view, near, background, color, alpha, depth, scratch_);
  }

  recon_cpu::FieldTimings timings(bool reset) override {
    double t[kStages] = {};
    for (int i = 0; i < scratch_count_; ++i)
      for (int k = 0; k < kStages; ++k) {
        t[k] += scratch_[i].seconds[k];
        if (reset)
          scratch_[i].seconds[k] = 0.0;
      }
    return {t[kMarch],    t[kEncode],  t[kDensity], t[kColor], t[kComposite],
            t[kBackward], t[kScatter], t[kAdam],    t[kGrid]};
  }

private:
  void drop_scratch() {
    delete[] scratch_;
    scratch_ = nullptr;
    scratch_count_ = 0;
  }

  void prepare_scratch() {
    const int threads = recon_cpu::thread_count();
    if (threads == scratch_count_)
      return;
    drop_scratch();
    scratch_ = new Scratch[threads];
    scratch_count_ = threads;
    for (int i = 0; i < threads; ++i)
      scratch_[i].temporary.reserve((kRows + kSparePad) *
                                    (kOut + 3 * kHidden + kGeometry + kEncoded + kHidden));
  }

  template <class MakeRay>
  recon_cpu::StepResult forward_backward(const FieldShape &shape, const FieldState &state,
                                         const MarchOptions &march,
                                         const recon_cpu::StepOptions &options, int64_t rays,
                                         float *rendered, MakeRay &&make) {
    prepare_scratch();
    set_march(space_, march);
    transposed_.reserve(recon_cpu::kWeights);
    transpose_weights(state.mlp, transposed_.data());
    StepContext context = {};
    context.space = &space_;
    context.shape = &shape;
    context.weights = {state.table_half, state.mlp};
    context.transposed = transposed_.data();
    context.huber_delta = options.huber_delta;
    context.distortion = options.distortion;
    context.rendered = rendered;
    if (state.exposure != nullptr) {
      ray_exposure_.reserve(rays * 3);
      ray_image_.reserve(rays);
      context.exposure_grad = ray_exposure_.data();
    }
    const MarchTable table = space_.table();
    run_chunks(kGroups, [&](int g, int thread) {
      Group &group = groups_[g];
      group.gradients.n = 0;
      group.mlp.reserve(recon_cpu::kWeights);
      group.mlp.clear(recon_cpu::kWeights);
      group.loss = group.error = 0.0;
      group.marched = group.live = 0;
      RayState states[kChunkRays];
      TrainRay train[kChunkRays + kSparePad];
      const int64_t first = rays * g / kGroups, last = rays * (g + 1) / kGroups;
      for (int64_t begin = first; begin < last; begin += kChunkRays) {
        const int n = static_cast<int>(last - begin < kChunkRays ? last - begin : kChunkRays);
        for (int i = 0; i < n; ++i) {
          make(begin + i, states[i], train[i]);
          start_ray(table, shape.contracted, states[i]);
          if (context.exposure_grad != nullptr)
            ray_image_[begin + i] = train[i].image;
        }
        train_chunk(context, states, train, n, begin, scratch_[thread], group);
      }
    });
    recon_cpu::StepResult result = {};
    for (const Group &group : groups_) {
      result.loss += group.loss;
      result.error += group.error;
      result.marched += group.marched;
      result.live += group.live;
    }
    return result;
  }

  void sum_exposure(const FieldState &state, int64_t rays, const recon_cpu::StepOptions &o,
                    float *out) const {
    for (int i = 0; i < 3 * image_count_; ++i)
      out[i] = o.exposure_decay * state.exposure[i];
    for (int64_t i = 0; i < rays; ++i)
      for (int k = 0; k < 3; ++k)
        out[3 * ray_image_[i] + k] += ray_exposure_[3 * i + k];
  }

  void update(const FieldShape &shape, const FieldState &state,
              const recon_cpu::StepOptions &options) {
    corrections_.reserve(1);
    corrections_[0].fill(options.table_rate, options);
    // Each level is summed and updated by one thread, the fine ones first: they take longest. The
    // result is the same for any number of threads.
    run_chunks(kLevels + 1, [&](int chunk, int thread) {
      Scratch &s = scratch_[thread];
      Lap lap(s.seconds);
      if (chunk == kLevels) {
        update_mlp(state, options);
        lap(kAdam);
        return;
      }
      const int level = kLevels - 1 - chunk;
      const int64_t count = shape.offset[level + 1] - shape.offset[level];
      if (s.table_size < count) {
        s.table_grad.reserve(count * kFeatures);
        s.table_grad.clear(count * kFeatures);
        s.touched.reserve(div_up(count, 64));
        s.touched.clear(div_up(count, 64));
        s.table_size = count;
      }
      scatter_level(shape, level, groups_, s.table_grad.data(), s.touched.data());
      lap(kScatter);
      adam_level(state.records + shape.offset[level] * recon_cpu::kRecord,
                 state.table_half + shape.offset[level] * kFeatures, count, s.table_grad.data(),
                 s.touched.data(), options, corrections_[0]);
      lap(kAdam);
    });
  }

  void update_mlp(const FieldState &state, const recon_cpu::StepOptions &options) {
    mlp_grad_.reserve(recon_cpu::kWeights);
    sum_mlp(groups_, state.mlp, options.mlp_decay, mlp_grad_.data());
    const double p1 = ::pow(static_cast<double>(options.beta1), static_cast<double>(options.step));
    const double p2 = ::pow(static_cast<double>(options.beta2), static_cast<double>(options.step));
    const float correction = static_cast<float>(::sqrt(1.0 - p2) / (1.0 - p1));
    adam_dense(state.mlp, state.mlp_first, state.mlp_second, mlp_grad_.data(), recon_cpu::kWeights,
               options.mlp_rate * correction, options);
    if (state.exposure == nullptr)
      return;
    const int64_t n = 3 * static_cast<int64_t>(image_count_);
    exposure_grad_.reserve(n);
    sum_exposure(state, options.rays, options, exposure_grad_.data());
    adam_dense(state.exposure, state.exposure_first, state.exposure_second, exposure_grad_.data(),
               n, options.exposure_rate * correction, options);
  }

  Space space_;
  Buffer<FieldImage> images_;
  int image_count_ = 0;
  Group groups_[kGroups];
  Scratch *scratch_ = nullptr;
  int scratch_count_ = 0;
  Buffer<float> transposed_, mlp_grad_, exposure_grad_, ray_exposure_;
  Buffer<int> ray_image_;
  Buffer<Corrections> corrections_;
};

RECON_END

namespace recon_cpu {
FieldEngine *RECON_CREATE_FIELD() { return new recon::FieldEngineImpl(); }
} // namespace recon_cpu
