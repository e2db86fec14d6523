// L1 + D-SSIM and its gradient in the image.
//
// SSIM: Wang et al. 2004, 11x11 Gaussian window of sigma 1.5, zero padding at the border (as 3DGS
// trains). With m the blur (a linear map, its own adjoint), the four quantities m(x), m(y),
// m(x^2 + y^2), m(x y) suffice; the derivative needs three more blurs.

#include "cpu/frame.h"

RECON_BEGIN

namespace {

constexpr int kRadius = 5, kTaps = 2 * kRadius + 1;
// exp(-d^2 / (2 * 1.5^2)), normalised over the 11 taps.
constexpr float kWindow[kRadius + 1] = {0.26601171f, 0.21300553f, 0.10936069f,
                                        0.03600077f, 0.00759876f, 0.00102838f};
constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;
constexpr int kStrip = 32; // rows a task
constexpr int kPad = 8;    // floats before and after a row buffer, zero

// Rows of Q quantities blurred along x, kept in a ring for the blur along y.
template <int Q> struct BlurRing {
  int64_t pitch = 0;
  float *raw = nullptr;  // [Q][kPad + width + kPad]
  float *ring = nullptr; // [kTaps][Q][width]
  int64_t width = 0;     // multiple of kLanes

  static int64_t floats(int64_t width) { return Q * (width + 2 * kPad) + kTaps * Q * width; }
  void place(float *memory, int64_t w) {
    width = w;
    pitch = w + 2 * kPad;
    raw = memory;
    ring = memory + Q * pitch;
    std::memset(raw, 0, static_cast<size_t>(Q * pitch) * sizeof(float));
  }
  float *raw_row(int q) { return raw + q * pitch + kPad; }
  float *ring_row(int row, int q) { return ring + ((row % kTaps) * Q + q) * width; }

  void blur_x(int row) {
    for (int q = 0; q < Q; ++q) {
      const float *in = raw_row(q);
      float *out = ring_row(row, q);
      for (int64_t x = 0; x < width; x += kLanes) {
        F8 s = F8(kWindow[0]) * F8::loadu(in + x);
        for (int d = 1; d <= kRadius; ++d)
          s += F8(kWindow[d]) * (F8::loadu(in + x - d) + F8::loadu(in + x + d));
        s.storeu(out + x);
      }
    }
  }
  void zero(int row) {
    std::memset(ring_row(row, 0), 0, static_cast<size_t>(Q * width) * sizeof(float));
  }
  // The blur along y at `row`, 8 pixels at x; rows row-5 .. row+5 must be in the ring.
  RECON_FN F8 blur_y(int row, int q, int64_t x) {
    F8 s = F8(kWindow[0]) * F8::loadu(ring_row(row, q) + x);
    for (int d = 1; d <= kRadius; ++d)
      s += F8(kWindow[d]) *
           (F8::loadu(ring_row(row + kTaps - d, q) + x) + F8::loadu(ring_row(row + d, q) + x));
    return s;
  }
};

// A row of bytes as 0..1, and 0 in the padding: 0 times a weight of 0 must stay 0.
RECON_FN void byte_row(const uint8_t *in, int width, int64_t padded, float *out) {
  for (int x = 0; x < width; ++x)
    out[x] = static_cast<float>(in[x]) * (1.0f / 255.0f);
  for (int64_t x = width; x < padded; ++x)
    out[x] = 0.0f;
}

// Weight of each pixel of a row, 0 in the padding.
RECON_FN void weight_row(const uint8_t *in, int row, int width, int64_t padded, float *out) {
  if (in != nullptr) {
    byte_row(in + static_cast<int64_t>(row) * width, width, padded, out);
    return;
  }
  for (int64_t x = 0; x < padded; ++x)
    out[x] = x < width ? 1.0f : 0.0f;
}

// Streams the rows [first, last) through the ring: fill(row) writes the raw rows, use(row) reads
// the blur at a row. Rows outside [0, height) count as zero.
template <class Ring, class Fill, class Use>
RECON_FN void stream_rows(Ring &ring, int first, int last, int height, Fill &&fill, Use &&use) {
  for (int row = first - kRadius; row < last + kRadius; ++row) {
    const int index = row + kTaps; // keeps the ring index positive
    if (row < 0 || row >= height) {
      ring.zero(index);
    } else {
      fill(row);
      ring.blur_x(index);
    }
    if (row - kRadius >= first)
      use(row - kRadius, index - kRadius);
  }
}

} // namespace

struct LossScratch {
  Buffer<float> maps;    // [3 channels][3 derivatives] planes
  Buffer<float> row;     // per thread
  Buffer<double> totals; // per task
};

double photometric_loss(Frame &frame, LossScratch &scratch, const uint8_t *target,
                        const recon_cpu::LossOptions &options) {
  const int width = frame.view.width, height = frame.view.height;
  const int64_t stride = frame.stride, plane = frame.plane;
  const int64_t pixels = static_cast<int64_t>(width) * height;
  const int64_t padded = div_up(width, kLanes) * kLanes;
  const int strips = static_cast<int>(div_up(height, kStrip));
  const float scale = 1.0f / (3.0f * static_cast<float>(pixels));
  const float l1_scale = (1.0f - options.ssim_weight) * scale;
  const float ssim_scale = options.ssim_weight * scale;
  const int threads = recon_cpu::thread_count();
  const int64_t per_thread = BlurRing<4>::floats(padded) + 2 * padded;
  scratch.maps.reserve(9 * plane);
  scratch.row.reserve(per_thread * threads);
  scratch.totals.reserve(strips * 2);
  float *maps = scratch.maps.data();
  const bool use_ssim = options.ssim_weight > 0.0f;

  if (use_ssim)
    run_chunks(strips, [&](int strip, int thread) {
      float *memory = scratch.row.data() + thread * per_thread;
      float *weights = memory + BlurRing<4>::floats(padded);
      BlurRing<4> ring;
      double total = 0.0;
      const int first = strip * kStrip;
      const int last = first + kStrip < height ? first + kStrip : height;
      for (int c = 0; c < 3; ++c) {
        ring.place(memory, padded);
        const float *x_plane = frame.image.data() + c * plane;
        const uint8_t *y_plane = target + c * pixels;
        stream_rows(
            ring, first, last, height,
            [&](int row) {
              const float *x = x_plane + row * stride;
              float *rx = ring.raw_row(0), *ry = ring.raw_row(1);
              byte_row(y_plane + static_cast<int64_t>(row) * width, width, padded, ry);
              std::memcpy(rx, x, static_cast<size_t>(width) * sizeof(float));
              float *rp = ring.raw_row(2), *rq = ring.raw_row(3);
              for (int64_t i = 0; i < padded; i += kLanes) {
                const F8 a = F8::loadu(rx + i), b = F8::loadu(ry + i);
                (a * a + b * b).storeu(rp + i);
                (a * b).storeu(rq + i);
              }
            },
            [&](int row, int index) {
              float *out = maps + (3 * c) * plane + row * stride;
              weight_row(options.weight, row, width, padded, weights);
              F8 row_total(0.0f);
              for (int64_t i = 0; i < padded; i += kLanes) {
                const F8 m1 = ring.blur_y(index, 0, i), m2 = ring.blur_y(index, 1, i);
                const F8 p = ring.blur_y(index, 2, i), q = ring.blur_y(index, 3, i);
                const F8 m11 = m1 * m1, m22 = m2 * m2, m12 = m1 * m2;
                const F8 a = m12 + m12 + F8(kC1), d = m11 + m22 + F8(kC1);
                const F8 b = F8(2.0f) * (q - m12) + F8(kC2), e = p - m11 - m22 + F8(kC2);
                const F8 inv_d = F8(1.0f) / d, inv_e = F8(1.0f) / e;
                const F8 inv = inv_d * inv_e, ssim = a * b * inv;
                const F8 g = F8::loadu(weights + i);
                row_total += g * (F8(1.0f) - ssim);
                const F8 k = g * F8(-ssim_scale);
                (k * (F8(2.0f) * m2 * (b - a) * inv + F8(2.0f) * m1 * ssim * (inv_e - inv_d)))
                    .storeu(out + i);
                (k * (-ssim * inv_e)).storeu(out + plane + i);
                (k * (F8(2.0f) * a * inv)).storeu(out + 2 * plane + i);
              }
              total += sum(row_total);
            });
      }
      scratch.totals[strip] = total;
    });

  run_chunks(strips, [&](int strip, int thread) {
    float *memory = scratch.row.data() + thread * per_thread;
    float *y = memory + BlurRing<4>::floats(padded), *weight = y + padded;
    BlurRing<3> ring;
    double total = 0.0;
    const int first = strip * kStrip;
    const int last = first + kStrip < height ? first + kStrip : height;
    for (int c = 0; c < 3; ++c) {
      const float *x_plane = frame.image.data() + c * plane;
      float *g_plane = frame.image_grad.data() + c * plane;
      float *e_plane = frame.image_grad.data() + kPlaneError * plane;
      const uint8_t *y_plane = target + c * pixels;
      auto finish = [&](int row, int index) {
        byte_row(y_plane + static_cast<int64_t>(row) * width, width, padded, y);
        const float *x = x_plane + row * stride;
        float *g = g_plane + row * stride, *error = e_plane + row * stride;
        weight_row(options.weight, row, width, padded, weight);
        F8 row_total(0.0f);
        for (int64_t i = 0; i < padded; i += kLanes) {
          const F8 xv = F8::loadu(x + i), yv = F8::loadu(y + i), weights = F8::loadu(weight + i);
          const F8 d = xv - yv;
          const F8 size = weights * max_(d, -d);
          row_total += size;
          (c == 0 ? size * F8(1.0f / 3.0f) : F8::loadu(error + i) + size * F8(1.0f / 3.0f))
              .storeu(error + i);
          F8 out = weights * select(d > F8(0.0f), F8(l1_scale),
                                    select(d < F8(0.0f), F8(-l1_scale), F8(0.0f)));
          if (use_ssim)
            out += ring.blur_y(index, 0, i) + F8(2.0f) * xv * ring.blur_y(index, 1, i) +
                   yv * ring.blur_y(index, 2, i);
          out.storeu(g + i);
        }
        total += sum(row_total);
      };
      if (!use_ssim) {
        for (int row = first; row < last; ++row)
          finish(row, 0);
        continue;
      }
      ring.place(memory, padded);
      stream_rows(
          ring, first, last, height,
          [&](int row) {
            for (int q = 0; q < 3; ++q)
              std::memcpy(ring.raw_row(q), maps + (3 * c + q) * plane + row * stride,
                          static_cast<size_t>(width) * sizeof(float));
          },
          finish);
    }
    scratch.totals[strips + strip] = total;
  });

  double l1 = 0.0, dssim = 0.0;
  for (int s = 0; s < strips; ++s) {
    dssim += use_ssim ? scratch.totals[s] : 0.0;
    l1 += scratch.totals[strips + s];
  }
  return (static_cast<double>(l1_scale) * l1) + static_cast<double>(ssim_scale) * dssim;
}

RECON_END
