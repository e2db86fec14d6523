// Runs whole training steps of the CUDA engines on the CPU, for a build with AddressSanitizer
// (tests/test_cuda_sanitized.py): scenes and views of many sizes, in several orders of threads.
// Ends with 0 when all results are finite.

#include "host_exec/check.h"

#include "cuda/engine.h"
#include "host_exec/executor.h"

#include <cstdio>

using namespace check;
using namespace recon_types;

namespace {

struct Case {
  int splats, width, height;
  float log_scale;
  int64_t pairs;
};

bool run(const Case &c, uint32_t seed) {
  const auto n = static_cast<size_t>(c.splats), blocks = (n + kBlock - 1) / kBlock;
  std::vector<float> values(blocks * kRows * kBlock);
  for (float &v : values)
    v = random_float(seed);
  for (size_t i = 0; i < n; ++i)
    for (int r = kRowLogScale; r < kRowOpacity; ++r)
      values[(i / kBlock * kRows + static_cast<size_t>(r)) * kBlock + i % kBlock] += c.log_scale;
  const std::vector<float> zeros(values.size());
  Device<float> params(values), first(zeros), second(zeros), grads(zeros);
  const auto pixels = static_cast<size_t>(c.width) * static_cast<size_t>(c.height);
  const std::vector<float> none(n), picture(3 * pixels), flat(pixels, 0.1f);
  const std::vector<uint8_t> grey(3 * pixels, 90);
  Device<uint8_t> target(grey);
  Device<float> error(none), gradient(none), visible(none), color(picture), alpha(flat);
  const auto size = static_cast<float>(c.width + c.height);
  const View view = {c.width,
                     c.height,
                     size,
                     size,
                     0.5f * static_cast<float>(c.width),
                     0.5f * static_cast<float>(c.height),
                     {1, 0, 0, 0, 1, 0, 0, 0, 1},
                     {0, 0, 3}};
  const RenderOptions options = {{0.1f, 0.2f, 0.3f}, 3, true, true};
  AdamOptions adam = {};
  for (float &rate : adam.learning_rate)
    rate = 1e-3f;
  adam.beta1 = 0.9f;
  adam.beta2 = 0.999f;
  adam.epsilon = 1e-15f;
  adam.update_sh = true;
  recon_cuda::Engine engine(c.pairs);
  for (adam.step = 1; adam.step <= 2; ++adam.step) {
    engine.forward(params.data, c.splats, view, options, true, nullptr);
    engine.loss(target.data, {0.2f, nullptr}, nullptr);
    engine.backward(nullptr);
    engine.adam(params.data, first.data, second.data, adam,
                {error.data, gradient.data, visible.data}, nullptr);
  }
  engine.forward(params.data, c.splats, view, options, true, nullptr);
  engine.read(color.data, nullptr, nullptr, nullptr);
  engine.set_gradients(color.data, alpha.data, alpha.data, nullptr);
  engine.backward(nullptr);
  engine.gradients(params.data, grads.data, nullptr);
  return all_finite(params) && all_finite(color) && all_finite(grads) && all_finite(error);
}

} // namespace

int main() {
  const Case cases[] = {{0, 20, 20, -2.0f, 1 << 10},   {1, 1, 1, -2.0f, 1 << 10},
                        {17, 33, 17, -2.0f, 1 << 10},  {300, 50, 40, -2.5f, 1 << 12},
                        {40, 120, 130, 0.5f, 1 << 13}, {3000, 24, 20, -3.0f, 1 << 14},
                        {200, 40, 40, -1.5f, 16}};
  for (const uint64_t order : {0, 1, 77}) {
    host_exec::set_order(order);
    for (const Case &c : cases)
      if (!run(c, 12345)) {
        std::fprintf(stderr, "not finite: %d splats at %dx%d\n", c.splats, c.width, c.height);
        return 1;
      }
    for (const int64_t samples : {1, 8192})
      for (const bool contracted : {false, true})
        if (!run_field(13, 7, samples, contracted)) {
          std::fprintf(stderr, "not finite: a field\n");
          return 1;
        }
  }
  std::puts("all steps are finite");
  return 0;
}
