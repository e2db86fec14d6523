// L1 + D-SSIM and its gradient in the image.
//
// SSIM as in recon/math/ssim.h, with zero padding at the border (as 3DGS trains): four blurs of the
// pixels, and three of the derivatives.
//
// The image is worked on in blocks, each from pixels to gradients without leaving the cache: whole
// images of derivatives cost more in memory traffic than the few columns and rows around a block
// that are computed twice.

#include "cpu/frame.h"
#include "recon/math/ssim.h"

RECON_BEGIN

constexpr int kRadius = kSsimRadius, kTaps = kSsimTaps;
constexpr int kHalo = 8; // columns beside a row that a blur along it reads: kRadius in whole lanes
// At most this many columns and rows in a block: the 44 rows in flight of the first blur fit the
// first-level cache, the derivatives the second.
constexpr int kMaxColumns = 120, kMaxRows = 96;
constexpr int kMapFloats = kMaxColumns + 2 * kHalo; // a row of derivatives
constexpr int kRawFloats = kMapFloats + 2 * kHalo;  // a row of pixels
constexpr int kMapRows = kMaxRows + 2 * kRadius;

struct alignas(64) BlockScratch {
  float raw[kTaps][4][kRawFloats]; // a ring of rows of x, y, x^2 + y^2, x y
  float blurred[4][kRawFloats];
  float maps[3][kMapRows][kMapFloats]; // d(D-SSIM) / d(m(x), m(x^2 + y^2), m(x y))
  float zero[kRawFloats];
  float weights[kMapFloats];
  float target[kMaxColumns];
};

struct LossScratch {
  Buffer<BlockScratch> blocks; // per thread
  Buffer<double> ssim, l1;     // per block
};

namespace {

constexpr float kWindow[kRadius + 1] = {ssim_tap(0), ssim_tap(1), ssim_tap(2),
                                        ssim_tap(3), ssim_tap(4), ssim_tap(5)};

struct ImageBlock {
  int x0, columns; // multiples of kLanes; the last block ends in the padding
  int y0, y1;
};

// Cuts an image into blocks of nearly equal size.
struct ImageBlocks {
  int width, height, across, down, columns, rows;

  ImageBlocks(int w, int h) : width(w), height(h) {
    across = static_cast<int>(div_up(w, kMaxColumns));
    columns = static_cast<int>(div_up(div_up(w, across), kLanes)) * kLanes;
    down = static_cast<int>(div_up(h, kMaxRows));
    rows = static_cast<int>(div_up(h, down));
  }
  int count() const { return across * down; }
  ImageBlock at(int index) const {
    const int x0 = index % across * columns, y0 = index / across * rows;
    const int left = static_cast<int>(div_up(width - x0, kLanes)) * kLanes;
    return {x0, left < columns ? left : columns, y0, y0 + rows < height ? y0 + rows : height};
  }
};

// `count` columns of an image row from column x0 on, scaled; 0 outside the image, where the padding
// of rows in memory may hold anything.
template <class T>
RECON_FN void read_row(const T *in, int x0, int count, int width, float scale, float *out) {
  const int from = x0 > 0 ? x0 : 0, to = x0 + count < width ? x0 + count : width;
  for (int x = x0; x < from; ++x)
    out[x - x0] = 0.0f;
  for (int x = from; x < to; ++x)
    out[x - x0] = static_cast<float>(in[x]) * scale;
  for (int x = to > x0 ? to : x0; x < x0 + count; ++x)
    out[x - x0] = 0.0f;
}

// Weights of the pixels of a row, 0 outside the image.
RECON_FN void read_weights(const uint8_t *in, int row, int x0, int count, int width, float *out) {
  if (in != nullptr) {
    read_row(in + static_cast<int64_t>(row) * width, x0, count, width, 1.0f / 255.0f, out);
    return;
  }
  for (int i = 0; i < count; ++i)
    out[i] = x0 + i >= 0 && x0 + i < width ? 1.0f : 0.0f;
}

// Blurs along y: the row in the middle of 11 rows.
RECON_FN void blur_y(const float *const rows[kTaps], int count, float *out) {
  for (int x = 0; x < count; x += kLanes) {
    F8 s = F8(kWindow[0]) * F8::load(rows[kRadius] + x);
    for (int d = 1; d <= kRadius; ++d)
      s += F8(kWindow[d]) * (F8::load(rows[kRadius - d] + x) + F8::load(rows[kRadius + d] + x));
    s.store(out + x);
  }
}

// Blurs along x: 8 pixels of a row, which has kHalo more on each side.
RECON_FN F8 blur_x(const float *in) {
  F8 s = F8(kWindow[0]) * F8::load(in);
  for (int d = 1; d <= kRadius; ++d)
    s += F8(kWindow[d]) * (F8::loadu(in - d) + F8::loadu(in + d));
  return s;
}

struct Channel {
  const float *x;   // padded rows of `stride` floats
  const uint8_t *y; // rows of `width` bytes
  float *gradient, *error;
  bool first; // starts the error image instead of adding to it
};

// SSIM of one channel in a block, and its derivatives in `maps`, kHalo columns and kRadius rows
// beyond the block; returns the sum of weighted 1 - SSIM over the block.
double ssim_maps(const ImageBlock &block, const Channel &channel, const Frame &frame,
                 const recon_cpu::LossOptions &options, float scale, BlockScratch &s) {
  const int width = frame.view.width, height = frame.view.height;
  const int map_columns = block.columns + 2 * kHalo, raw_columns = map_columns + 2 * kHalo;
  const int map_x0 = block.x0 - kHalo, raw_x0 = map_x0 - kHalo;
  auto clip = [&](int row) { return row < 0 ? 0 : row > height ? height : row; };
  const int first = clip(block.y0 - kRadius), last = clip(block.y1 + kRadius);
  double total = 0.0;
  for (int fill = clip(first - kRadius); fill < last + kRadius; ++fill) {
    if (fill < height) {
      float (*raw)[kRawFloats] = s.raw[fill % kTaps];
      read_row(channel.x + fill * frame.stride, raw_x0, raw_columns, width, 1.0f, raw[0]);
      read_row(channel.y + static_cast<int64_t>(fill) * width, raw_x0, raw_columns, width,
               1.0f / 255.0f, raw[1]);
      for (int i = 0; i < raw_columns; i += kLanes) {
        const F8 a = F8::load(raw[0] + i), b = F8::load(raw[1] + i);
        (a * a + b * b).store(raw[2] + i);
        (a * b).store(raw[3] + i);
      }
    }
    const int row = fill - kRadius;
    if (row < first)
      continue;
    for (int q = 0; q < 4; ++q) {
      const float *rows[kTaps];
      for (int d = 0; d < kTaps; ++d) {
        const int at = row + d - kRadius;
        rows[d] = at < 0 || at >= height ? s.zero : s.raw[at % kTaps][q];
      }
      blur_y(rows, raw_columns, s.blurred[q]);
    }
    read_weights(options.weight, row, map_x0, map_columns, width, s.weights);
    const int map_row = row - (block.y0 - kRadius);
    F8 row_total(0.0f);
    for (int i = 0; i < map_columns; i += kLanes) {
      const F8 m1 = blur_x(s.blurred[0] + kHalo + i), m2 = blur_x(s.blurred[1] + kHalo + i);
      const F8 p = blur_x(s.blurred[2] + kHalo + i), q = blur_x(s.blurred[3] + kHalo + i);
      const Ssim<F8> value = ssim(m1, m2, p, q);
      const F8 g = F8::load(s.weights + i), k = g * F8(-scale);
      if (i >= kHalo && i < kHalo + block.columns)
        row_total += g * (F8(1.0f) - value.value);
      (k * value.d_mean).store(s.maps[0][map_row] + i);
      (k * value.d_p).store(s.maps[1][map_row] + i);
      (k * value.d_q).store(s.maps[2][map_row] + i);
    }
    if (row >= block.y0 && row < block.y1)
      total += sum(row_total);
  }
  return total;
}

// L1 of one channel in a block, and the gradient of both losses; returns the sum of weighted
// absolute differences.
double finish_block(const ImageBlock &block, const Channel &channel, const Frame &frame,
                    const recon_cpu::LossOptions &options, float l1_scale, BlockScratch &s) {
  const int width = frame.view.width, height = frame.view.height;
  const bool use_ssim = options.ssim_weight > 0.0f;
  double total = 0.0;
  for (int row = block.y0; row < block.y1; ++row) {
    if (use_ssim)
      for (int q = 0; q < 3; ++q) {
        const float *rows[kTaps];
        for (int d = 0; d < kTaps; ++d) {
          const int at = row + d - kRadius;
          rows[d] = at < 0 || at >= height ? s.zero : s.maps[q][row + d - block.y0];
        }
        blur_y(rows, block.columns + 2 * kHalo, s.blurred[q]);
      }
    const int64_t at = row * frame.stride + block.x0;
    const float *x = channel.x + at;
    float *gradient = channel.gradient + at, *error = channel.error + at;
    read_row(channel.y + static_cast<int64_t>(row) * width, block.x0, block.columns, width,
             1.0f / 255.0f, s.target);
    read_weights(options.weight, row, block.x0, block.columns, width, s.weights);
    F8 row_total(0.0f);
    for (int i = 0; i < block.columns; i += kLanes) {
      const F8 xv = F8::loadu(x + i), yv = F8::load(s.target + i), g = F8::load(s.weights + i);
      const F8 d = xv - yv;
      // Masked, since the padding may hold anything: 0 times NaN is NaN.
      const F8 size = mask(g > F8(0.0f), g * max_(d, -d));
      row_total += size;
      (channel.first ? size * F8(1.0f / 3.0f) : F8::loadu(error + i) + size * F8(1.0f / 3.0f))
          .storeu(error + i);
      F8 out =
          g * select(d > F8(0.0f), F8(l1_scale), select(d < F8(0.0f), F8(-l1_scale), F8(0.0f)));
      if (use_ssim)
        out += blur_x(s.blurred[0] + kHalo + i) + F8(2.0f) * xv * blur_x(s.blurred[1] + kHalo + i) +
               yv * blur_x(s.blurred[2] + kHalo + i);
      out.storeu(gradient + i);
    }
    total += sum(row_total);
  }
  return total;
}

} // namespace

double photometric_loss(Frame &frame, LossScratch &scratch, const uint8_t *target,
                        const recon_cpu::LossOptions &options) {
  const ImageBlocks blocks(frame.view.width, frame.view.height);
  const int64_t pixels = static_cast<int64_t>(frame.view.width) * frame.view.height;
  const float scale = 1.0f / (3.0f * static_cast<float>(pixels));
  const float l1_scale = (1.0f - options.ssim_weight) * scale;
  const float ssim_scale = options.ssim_weight * scale;
  scratch.blocks.reserve(recon_cpu::thread_count());
  scratch.ssim.reserve(blocks.count());
  scratch.l1.reserve(blocks.count());

  run_chunks(blocks.count(), [&](int index, int thread) {
    const ImageBlock block = blocks.at(index);
    BlockScratch &s = scratch.blocks[thread];
    std::memset(s.zero, 0, sizeof(s.zero));
    double ssim = 0.0, l1 = 0.0;
    for (int c = 0; c < 3; ++c) {
      const Channel channel = {frame.image.data() + c * frame.plane, target + c * pixels,
                               frame.image_grad.data() + c * frame.plane,
                               frame.image_grad.data() + kPlaneError * frame.plane, c == 0};
      if (options.ssim_weight > 0.0f)
        ssim += ssim_maps(block, channel, frame, options, ssim_scale, s);
      l1 += finish_block(block, channel, frame, options, l1_scale, s);
    }
    scratch.ssim[index] = ssim;
    scratch.l1[index] = l1;
  });

  double ssim = 0.0, l1 = 0.0;
  for (int i = 0; i < blocks.count(); ++i) {
    ssim += scratch.ssim[i];
    l1 += scratch.l1[i];
  }
  return static_cast<double>(l1_scale) * l1 + static_cast<double>(ssim_scale) * ssim;
}

RECON_END
