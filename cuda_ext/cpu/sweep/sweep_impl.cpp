// Plane sweeping (Collins 1996) with normalised cross-correlation, for one instruction set; see
// cpu/engine_impl.cpp.
//
// The reference is taken in bands of rows. For each plane, a band is looked up in each view, and
// windows of both are correlated; a pixel keeps its two best views. Nothing larger than a band is
// ever stored: the best plane is tracked, with its neighbours' scores for the parabola.

#include "cpu/sweep/sweep.h"

#include "cpu/buffer.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

RECON_BEGIN

namespace {

using recon_cpu::GreyImage;
using recon_cpu::SweepOptions;
using recon_cpu::SweepView;

constexpr int kReach = 2; // windows are 5x5
constexpr float kWindow = (2 * kReach + 1) * (2 * kReach + 1);
constexpr int kBand = 16;     // rows
constexpr float kEps = 1e-4f; // variance under which a window is no pattern, (1/100 grey level)^2
constexpr float kNearest = 1e-6f; // homogeneous coordinate of points in front of a view
constexpr float kNone = -1.0f;    // score of what a view does not show
constexpr int kMargin = kLanes;   // columns beside a band, at least kReach

struct Band {
  Buffer<float> memory;
  int64_t stride = 0;          // of all rows
  float *reference, *warped;   // kBand + 2 kReach rows with kMargin columns each side
  float *sums[3];              // a row of sums over columns
  float *mean, *inv_deviation; // of the reference's windows, kBand rows, as all below
  float *first, *second;       // of one plane: the best views' scores
  float *best, *before, *after, *index, *last; // the best plane so far, the plane before

  void prepare(int width) {
    stride = div_up(width + 2 * kMargin, kLanes) * kLanes;
    const int64_t rows = kBand + 2 * kReach;
    memory.reserve(stride * (2 * rows + 3 + 9 * kBand));
    float *at = memory.data();
    auto take = [&](int64_t n) {
      float *out = at;
      at += n * stride;
      return out;
    };
    reference = take(rows);
    warped = take(rows);
    for (float *&row : sums)
      row = take(1);
    float **const planes[] = {&mean,   &inv_deviation, &first, &second, &best,
                              &before, &after,         &index, &last};
    for (float **plane : planes)
      *plane = take(kBand);
  }
};

int clamp(int i, int last) { return i < 0 ? 0 : i > last ? last : i; }

// Sums over the 5x5 windows around 8 pixels of the row of column sums.
RECON_FN F8 across(const float *row) {
  F8 s = F8::loadu(row - kReach);
  for (int d = 1 - kReach; d <= kReach; ++d)
    s += F8::loadu(row + d);
  return s;
}

// The rows of the reference from y0 - kReach on; its edge goes on outside.
void read_reference(const GreyImage &image, int y0, int rows, Band &b) {
  for (int r = 0; r < rows; ++r) {
    const float *from =
        image.pixels + static_cast<int64_t>(clamp(y0 + r - kReach, image.height - 1)) * image.width;
    float *to = b.reference + r * b.stride;
    for (int64_t i = 0; i < b.stride; ++i)
      to[i] = from[clamp(static_cast<int>(i) - kMargin, image.width - 1)];
  }
}

// The same rows as a view shows them if all lay on the plane at inverse depth w: NaN where it does
// not show them.
RECON_FN void warp(const GreyImage &reference, const SweepView &view, float w, int y0, int rows,
                   Band &b) {
  const float *h = view.homography, *e = view.epipole;
  const GreyImage &image = view.image;
  const F8 last_x(static_cast<float>(image.width - 1)),
      last_y(static_cast<float>(image.height - 1));
  const F8 edge(static_cast<float>(reference.width) - 0.5f), half(0.5f), zero(0.0f);
  const F8 none(__builtin_nanf(""));
  alignas(32) float lanes[kLanes];
  for (int l = 0; l < kLanes; ++l)
    lanes[l] = static_cast<float>(l - kMargin) + 0.5f;
  for (int r = 0; r < rows; ++r) {
    const float y = static_cast<float>(clamp(y0 + r - kReach, reference.height - 1)) + 0.5f;
    const F8 row_x(h[1] * y + h[2] + w * e[0]), row_y(h[4] * y + h[5] + w * e[1]);
    const F8 row_z(h[7] * y + h[8] + w * e[2]);
    float *to = b.warped + r * b.stride;
    F8 x0 = F8::load(lanes);
    for (int64_t i = 0; i < b.stride; i += kLanes, x0 += F8(static_cast<float>(kLanes))) {
      const F8 x = min_(max_(x0, half), edge);
      const F8 z = F8(h[6]) * x + row_z;
      const M8 ahead = z > F8(kNearest);
      const F8 inv = F8(1.0f) / select(ahead, z, F8(1.0f));
      const F8 u = (F8(h[0]) * x + row_x) * inv - half, v = (F8(h[3]) * x + row_y) * inv - half;
      const M8 shown = ahead & (u >= zero) & (v >= zero) & (u <= last_x) & (v <= last_y);
      // The pixel at the upper left of four; the last row and column have their weight at 1.
      const F8 us = min_(mask(shown, u), last_x - F8(1.0f)),
               vs = min_(mask(shown, v), last_y - F8(1.0f));
      const vi8 ui = __builtin_convertvector(us.v, vi8), vi = __builtin_convertvector(vs.v, vi8);
      const F8 fu = mask(shown, u) - F8(__builtin_convertvector(ui, vf8));
      const F8 fv = mask(shown, v) - F8(__builtin_convertvector(vi, vf8));
      const vi8 at = vi * image.width + ui;
      vf8 p00, p01, p10, p11;
      for (int l = 0; l < kLanes; ++l) {
        const float *p = image.pixels + at[l];
        p00[l] = p[0];
        p01[l] = p[1];
        p10[l] = p[image.width];
        p11[l] = p[image.width + 1];
      }
      const F8 top = F8(p00) + fu * F8(p01 - p00), bottom = F8(p10) + fu * F8(p11 - p10);
      select(shown, top + fv * (bottom - top), none).store(to + i);
    }
  }
}

// Means and inverse deviations of the reference's windows.
RECON_FN void describe(int rows, int64_t columns, Band &b) {
  for (int r = 0; r < rows; ++r) {
    const float *in = b.reference + r * b.stride;
    for (int64_t i = 0; i < b.stride; i += kLanes) {
      F8 s(0.0f), ss(0.0f);
      for (int d = 0; d <= 2 * kReach; ++d) {
        const F8 v = F8::load(in + d * b.stride + i);
        s += v;
        ss += v * v;
      }
      s.store(b.sums[0] + i);
      ss.store(b.sums[1] + i);
    }
    for (int64_t i = kMargin; i < kMargin + columns; i += kLanes) {
      const F8 mean = across(b.sums[0] + i) * F8(1.0f / kWindow);
      const F8 square = across(b.sums[1] + i) * F8(1.0f / kWindow);
      mean.store(b.mean + r * b.stride + i);
      (F8(1.0f) / sqrt_(max_(square - mean * mean, F8(0.0f)) + F8(kEps)))
          .store(b.inv_deviation + r * b.stride + i);
    }
  }
}

// Correlates the windows of a band with those of the warped view, and keeps the two best.
RECON_FN void correlate(int rows, int64_t columns, Band &b) {
  for (int r = 0; r < rows; ++r) {
    const int64_t at = r * b.stride;
    for (int64_t i = 0; i < b.stride; i += kLanes) {
      F8 s(0.0f), ss(0.0f), cross(0.0f);
      for (int d = 0; d <= 2 * kReach; ++d) {
        const F8 v = F8::load(b.warped + at + d * b.stride + i);
        s += v;
        ss += v * v;
        cross += v * F8::load(b.reference + at + d * b.stride + i);
      }
      s.store(b.sums[0] + i);
      ss.store(b.sums[1] + i);
      cross.store(b.sums[2] + i);
    }
    for (int64_t i = kMargin; i < kMargin + columns; i += kLanes) {
      const F8 scale(1.0f / kWindow), mean = across(b.sums[0] + i) * scale;
      const F8 variance = max_(across(b.sums[1] + i) * scale - mean * mean, F8(0.0f));
      const F8 covariance = across(b.sums[2] + i) * scale - mean * F8::load(b.mean + at + i);
      const F8 raw = covariance * F8::load(b.inv_deviation + at + i) / sqrt_(variance + F8(kEps));
      const F8 value = select(raw > F8(kNone), raw, F8(kNone)); // NaN: not shown
      const F8 first = F8::load(b.first + at + i), second = F8::load(b.second + at + i);
      max_(second, min_(first, value)).store(b.second + at + i);
      max_(first, value).store(b.first + at + i);
    }
  }
}

// Makes plane k the best where it is.
RECON_FN void track(int rows, int64_t columns, int k, bool pairs, Band &b) {
  const F8 none(kNone), plane(static_cast<float>(k)), previous(static_cast<float>(k - 1));
  for (int r = 0; r < rows; ++r)
    for (int64_t i = kMargin; i < kMargin + columns; i += kLanes) {
      const int64_t at = r * b.stride + i;
      const F8 first = F8::load(b.first + at);
      const F8 s = pairs ? F8(0.5f) * (first + F8::load(b.second + at)) : first;
      const F8 best = F8::load(b.best + at), index = F8::load(b.index + at);
      const M8 better = s > best, follows = (index >= previous) & (index <= previous);
      select(better, none, select(follows, s, F8::load(b.after + at))).store(b.after + at);
      select(better, F8::load(b.last + at), F8::load(b.before + at)).store(b.before + at);
      select(better, plane, index).store(b.index + at);
      max_(s, best).store(b.best + at);
      s.store(b.last + at);
      none.store(b.first + at);
      none.store(b.second + at);
    }
}

// Between the planes: the vertex of the parabola through the best plane's score and those beside.
RECON_FN void finish_row(const GreyImage &image, const SweepOptions &options, int y,
                         const float *const state[4], float *inverse_depth, float *score) {
  for (int x = 0; x < image.width; ++x) {
    const float best = state[0][x], before = state[1][x], after = state[2][x], index = state[3][x];
    const float bend = before - 2.0f * best + after;
    float offset = 0.0f;
    if (index > 0.0f && index < static_cast<float>(options.planes - 1) && bend < -1e-6f)
      offset = min_(max_(0.5f * (before - after) / bend, -0.5f), 0.5f);
    const int64_t at = static_cast<int64_t>(y) * image.width + x;
    inverse_depth[at] = options.first + (index + offset) * options.step;
    score[at] = best;
  }
}

void sweep_band(const GreyImage &reference, const SweepView *views, int n,
                const SweepOptions &options, int y0, Band &b, float *inverse_depth, float *score) {
  b.prepare(reference.width);
  const int rows = reference.height - y0 < kBand ? reference.height - y0 : kBand;
  const int64_t columns = div_up(reference.width, kLanes) * kLanes;
  read_reference(reference, y0, rows + 2 * kReach, b);
  describe(rows, columns, b);
  float *const planes[] = {b.first, b.second, b.best, b.before, b.after, b.last};
  for (float *plane : planes)
    for (int64_t i = 0; i < kBand * b.stride; ++i)
      plane[i] = kNone;
  for (int64_t i = 0; i < kBand * b.stride; ++i)
    b.index[i] = 0.0f;
  for (int k = 0; k < options.planes; ++k) {
    const float w = options.first + static_cast<float>(k) * options.step;
    for (int v = 0; v < n; ++v) {
      warp(reference, views[v], w, y0, rows + 2 * kReach, b);
      correlate(rows, columns, b);
    }
    track(rows, columns, k, n > 1, b);
  }
  for (int r = 0; r < rows; ++r) {
    const int64_t at = r * b.stride + kMargin;
    const float *const state[4] = {b.best + at, b.before + at, b.after + at, b.index + at};
    finish_row(reference, options, y0 + r, state, inverse_depth, score);
  }
}

} // namespace

RECON_END

void recon_cpu::RECON_SWEEP(const GreyImage &reference, const SweepView *views, int n,
                            const SweepOptions &options, float *inverse_depth, float *score) {
  using namespace recon;
  // One a thread; a sweep takes far longer than to make them anew.
  Band *bands = new Band[recon_cpu::thread_count()];
  run_chunks(static_cast<int>(div_up(reference.height, kBand)), [&](int chunk, int thread) {
    sweep_band(reference, views, n, options, chunk * kBand, bands[thread], inverse_depth, score);
  });
  delete[] bands;
}
