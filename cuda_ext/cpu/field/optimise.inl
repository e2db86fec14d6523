// Adam (Kingma and Ba 2015). Entries of the hash table that a step did not touch keep their moments
// and their count of updates, by which the bias of the moments is corrected.

#include "cpu/field/state.h"

RECON_BEGIN

using recon_cpu::FieldState;
using recon_cpu::StepOptions;

void scatter_level(const FieldShape &shape, int level, const Group *groups, float *grad,
                   uint64_t *touched);

namespace {

// From this many updates on, the corrections are 1 to float precision (beta2 = 0.99).
constexpr int kCorrections = 2048;

struct Corrections {
  float rate[kCorrections]; // learning rate times sqrt(1 - beta2^n) / (1 - beta1^n)

  void fill(float rate_now, const StepOptions &o) {
    double p1 = 1.0, p2 = 1.0;
    for (float &r : rate) {
      p1 *= static_cast<double>(o.beta1);
      p2 *= static_cast<double>(o.beta2);
      r = static_cast<float>(static_cast<double>(rate_now) * ::sqrt(1.0 - p2) / (1.0 - p1));
    }
  }
  float at(int64_t step) const { return rate[step <= kCorrections ? step - 1 : kCorrections - 1]; }
};

// Squares of small gradients are denormal, which costs a hundred cycles each: they count as 0 while
// this lives.
struct FlushDenormals {
#if defined(__SSE2__)
  unsigned before = __builtin_ia32_stmxcsr();
  FlushDenormals() { __builtin_ia32_ldmxcsr(before | 0x8040); }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(before); }
#else
  FlushDenormals() {}
  ~FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals &) = delete;
  FlushDenormals &operator=(const FlushDenormals &) = delete;
};

// One level of the table: `count` records and rounded entries, from the gradients and bits of the
// touched entries, both zero afterwards.
void adam_level(float *records, uint16_t *half, int64_t count, float *grad, uint64_t *touched,
                const StepOptions &o, const Corrections &corrections) {
  using namespace recon_cpu;
  const vf4 zero = {0, 0, 0, 0};
  const int64_t words = div_up(count, 64);
  const FlushDenormals flush;
  // Which entries come is known ahead of time: their lines are fetched before their turn.
  auto fetch = [&](int64_t word) {
    for (uint64_t left = touched[word]; left != 0; left &= left - 1) {
      const int64_t i = word * 64 + __builtin_ctzll(left);
      __builtin_prefetch(records + i * kRecord, 1);
      __builtin_prefetch(grad + i * kFeatures, 1);
      __builtin_prefetch(half + i * kFeatures, 1);
    }
  };
  if (words > 0)
    fetch(0);
  for (int64_t word = 0; word < words; ++word) {
    if (word + 1 < words)
      fetch(word + 1);
    uint64_t left = touched[word];
    touched[word] = 0;
    for (; left != 0; left &= left - 1) {
      const int64_t i = word * 64 + __builtin_ctzll(left);
      vf4 *into = reinterpret_cast<vf4 *>(grad + i * kFeatures);
      const vf4 g = *into;
      *into = zero;
      const vf4 total = g * 0.0f; // 0 only for finite gradients
      if (!(total[0] + total[1] + total[2] + total[3] == 0.0f))
        continue;
      float *record = records + i * kRecord;
      const float steps = record[kRecordSteps] + 1.0f;
      record[kRecordSteps] = steps;
      const float rate = corrections.at(static_cast<int64_t>(steps));
      vf4u *p = reinterpret_cast<vf4u *>(record);
      vf4u *m = reinterpret_cast<vf4u *>(record + kRecordFirst);
      vf4u *v = reinterpret_cast<vf4u *>(record + kRecordSecond);
      vf4 m1 = *m, v1 = *v;
      const vf4 p1 = *p - adam_step(g, rate, o.beta1, o.beta2, o.epsilon, m1, v1);
      *m = m1;
      *v = v1;
      *p = p1;
      store_half4(p1, half + i * kFeatures);
    }
  }
}

// Sum of the groups' weight gradients, in order, and the decay's.
void sum_mlp(const Group *groups, const float *mlp, float decay, float *out) {
  for (int i = 0; i < recon_cpu::kWeights; ++i) {
    float g = decay * mlp[i];
    for (int k = 0; k < kGroups; ++k)
      g += groups[k].mlp[i];
    out[i] = g;
  }
}

void adam_dense(float *p, float *m, float *v, const float *grad, int64_t n, float rate,
                const StepOptions &o) {
  for (int64_t i = 0; i < n; ++i)
    if (grad[i] * 0.0f == 0.0f)
      p[i] -= adam_step(grad[i], rate, o.beta1, o.beta2, o.epsilon, m[i], v[i]);
}

} // namespace

RECON_END
