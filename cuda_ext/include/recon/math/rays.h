// Rays of the hash-grid field: where they come from, where they take samples, what they should show
// and what follows from what they showed. recon/nerf/reference.py states the same in torch.
#pragma once

#include "recon/field.h"
#include "recon/math/field.h"
#include "recon/math/random.h"
#include "recon/math/sh.h"

RECON_BEGIN

// A ray in box space and how far it has come.
struct RayState {
  float origin[3], direction[3]; // the direction has unit length
  float jitter;
  int k, end; // next and last index into the marching table
  float transmittance;
};

// A training ray: what it should show.
struct TrainRay {
  float target[3];     // colour, premultiplied, of the photo over the background
  float background[3]; // behind everything
  float gain[3];       // exposure of its photo
  float scale;         // of its loss
  int image;
  float sphere[recon_types::kSphere]; // harmonics of its direction
};

// The distances at which samples may lie, and the steps from each to the next.
struct MarchTable {
  const float *t, *dt;
  int count;
  float far;
};

constexpr int kMostSteps = 1 << 16;

// Calls take(index, distance, step) for each entry of the table; returns their number.
template <class F> inline int for_march_steps(const recon_types::MarchOptions &o, F &&take) {
  int n = 0;
  for (float t = o.near; t < o.far && n < kMostSteps; ++n) {
    const float dt = step_length(t, o.shortest, o.cone);
    take(n, t, dt);
    t += dt;
  }
  return n;
}

// First index whose interval ends behind distance t.
RECON_FN int first_behind(const MarchTable &m, float t) {
  int lo = 0, hi = m.count;
  while (lo < hi) {
    const int mid = (lo + hi) / 2;
    if (m.t[mid] + m.dt[mid] > t)
      hi = mid;
    else
      lo = mid + 1;
  }
  return lo;
}

// First index whose sample does not lie nearer than `near`.
RECON_FN int first_from(const MarchTable &m, float jitter, float near) {
  const int k = first_behind(m, near);
  return k < m.count && m.t[k] + jitter * m.dt[k] < near ? k + 1 : k;
}

// Sets where a ray, whose origin, direction and jitter are given, starts and ends; without samples
// nearer than `near`.
RECON_FN void start_ray(const MarchTable &m, bool contracted, RayState &ray, float near = 0.0f) {
  ray.transmittance = 1.0f;
  ray.k = near > 0.0f ? first_from(m, ray.jitter, near) : 0;
  ray.end = m.count;
  if (contracted)
    return;
  float enter = 0.0f, leave = m.far;
  for (int i = 0; i < 3; ++i) {
    const float d = ray.direction[i];
    const float inv = 1.0f / (d >= 0.0f ? max_(d, 1e-12f) : min_(d, -1e-12f));
    const float a = (-1.0f - ray.origin[i]) * inv, b = (1.0f - ray.origin[i]) * inv;
    enter = max_(enter, min_(a, b));
    leave = min_(leave, max_(a, b));
  }
  const int first = first_behind(m, enter);
  ray.k = first > ray.k ? first : ray.k;
  ray.end = leave > enter ? first_behind(m, leave) + 1 : ray.k;
  ray.end = ray.end < m.count ? ray.end : m.count;
}

// Steps that a ray may take at once from index k, where no occupied cell is within reach of
// `reach` (box units); 0 where steps are longer than that.
RECON_FN int steps_at_once(const MarchTable &m, int k, float reach) {
  const int steps = static_cast<int>(reach / m.dt[k]);
  if (steps <= 0)
    return 0;
  // Steps grow along the way: as many of them as the first and the last one allow.
  const int last = k + steps < m.count ? k + steps : m.count - 1;
  const int fewer = static_cast<int>(reach / m.dt[last]);
  return fewer > 0 ? fewer : 1;
}

// The ray of a pixel position in box space. Returns z-depth over distance.
RECON_FN float camera_ray(const recon_types::FieldShape &shape, const recon_types::View &view,
                          float px, float py, RayState &ray) {
  const float c[3] = {(px - view.cx) / view.fx, (py - view.cy) / view.fy, 1.0f};
  const float inv = 1.0f / sqrt_(c[0] * c[0] + c[1] * c[1] + 1.0f);
  const float *r = view.rotation, *t = view.translation;
  for (int i = 0; i < 3; ++i) {
    ray.direction[i] = (r[i] * c[0] + r[3 + i] * c[1] + r[6 + i] * c[2]) * inv;
    const float centre = -(r[i] * t[0] + r[3 + i] * t[1] + r[6 + i] * t[2]);
    ray.origin[i] = (centre - shape.centre[i]) / shape.half;
  }
  return inv;
}

// What a training ray needs besides origin, direction, jitter and background, all set before.
RECON_FN void finish_ray(const float *exposure, int image, const float rgba[4], float scale,
                         const RayState &ray, TrainRay &train) {
  train.image = image;
  train.scale = scale;
  for (int k = 0; k < 3; ++k) {
    train.target[k] = rgba[k] + (1.0f - rgba[3]) * train.background[k];
    train.gain[k] = exposure == nullptr ? 1.0f : exp_(exposure[3 * image + k]);
  }
  sh_basis(3, ray.direction, train.sphere);
}

// One of n numbers, each as likely as the others.
RECON_FN int pick(uint32_t seed, uint32_t index, uint32_t what, int n) {
  return static_cast<int>(
      static_cast<uint64_t>(random_bits(seed, index, what)) * static_cast<uint64_t>(n) >> 32);
}

// A random pixel of a photo, and by how much it counts: the less, the more often its tile is
// picked.
RECON_FN float random_pixel(uint32_t seed, uint32_t id, const recon_types::FieldImage &image,
                            int &x, int &y) {
  constexpr int kSide = recon_types::kPhotoTile;
  const int width = image.view.width, height = image.view.height;
  if (image.share == nullptr) {
    x = pick(seed, id, 1, width);
    y = pick(seed, id, 2, height);
    return 1.0f;
  }
  // The first tile whose share ends above the random number. The last one's ends at 2^32 - 1.
  const uint32_t bits = random_bits(seed, id, 1), at = bits == ~0u ? bits - 1 : bits;
  const int across = (width + kSide - 1) / kSide, down = (height + kSide - 1) / kSide;
  int lo = 0, hi = across * down - 1;
  while (lo < hi) {
    const int mid = (lo + hi) / 2;
    if (image.share[mid] > at)
      hi = mid;
    else
      lo = mid + 1;
  }
  const int left = lo % across * kSide, top = lo / across * kSide;
  const int columns = width - left < kSide ? width - left : kSide;
  const int rows = height - top < kSide ? height - top : kSide;
  x = left + pick(seed, id, 2, columns);
  y = top + pick(seed, id, 7, rows);
  const uint32_t share = image.share[lo] - (lo > 0 ? image.share[lo - 1] : 0u);
  const float area =
      static_cast<float>(columns * rows) / (static_cast<float>(width) * static_cast<float>(height));
  return area / (static_cast<float>(share) * 0x1p-32f);
}

// The colour of a photo beside the middle of pixel (x, y), at most half a pixel away: linear
// between the middles of pixels, of which those count less that a mask lets count less.
RECON_FN void color_beside(const recon_types::FieldImage &image, int x, int y, float dx, float dy,
                           float rgba[4]) {
  const int across = image.view.width, down = image.view.height;
  const int ox = dx < 0.0f ? x - 1 : x + 1, oy = dy < 0.0f ? y - 1 : y + 1;
  const float ax = ox < 0 || ox >= across ? 0.0f : (dx < 0.0f ? -dx : dx);
  const float ay = oy < 0 || oy >= down ? 0.0f : (dy < 0.0f ? -dy : dy);
  float sum = 0.0f;
  for (int k = 0; k < 4; ++k)
    rgba[k] = 0.0f;
  for (int corner = 0; corner < 4; ++corner) {
    const bool beside = corner & 1, below = corner >> 1;
    float part = (beside ? ax : 1.0f - ax) * (below ? ay : 1.0f - ay);
    if (part == 0.0f)
      continue;
    const int64_t at = static_cast<int64_t>(below ? oy : y) * across + (beside ? ox : x);
    if (image.weight != nullptr)
      part *= static_cast<float>(image.weight[at]);
    for (int k = 0; k < 4; ++k)
      rgba[k] += part * static_cast<float>(image.rgba[4 * at + k]);
    sum += part;
  }
  // Where nothing counts the ray does not either.
  const float scale = sum > 0.0f ? 1.0f / (255.0f * sum) : 0.0f;
  for (int k = 0; k < 4; ++k)
    rgba[k] *= scale;
}

// Ray i of a step: through a random point of a random pixel of a random photo.
RECON_FN void random_ray(const recon_types::FieldShape &shape,
                         const recon_types::FieldImage *images, int image_count,
                         const float *exposure, const recon_types::StepOptions &o, int64_t i,
                         RayState &ray, TrainRay &train) {
  const uint32_t seed = mix32(o.seed * 0x9e3779b9u + static_cast<uint32_t>(o.step));
  const uint32_t id = static_cast<uint32_t>(i);
  const int index = pick(seed, id, 0, image_count);
  const recon_types::FieldImage &image = images[index];
  int x, y;
  const float counts = random_pixel(seed, id, image, x, y);
  ray.jitter = random_unit(seed, id, 3);
  for (int k = 0; k < 3; ++k)
    train.background[k] =
        o.random_background ? random_unit(seed, id, static_cast<uint32_t>(4 + k)) : o.background[k];
  const float dx = o.spread * (random_unit(seed, id, 8) - 0.5f),
              dy = o.spread * (random_unit(seed, id, 9) - 0.5f);
  camera_ray(shape, image.view, static_cast<float>(x) + 0.5f + dx,
             static_cast<float>(y) + 0.5f + dy, ray);
  float rgba[4];
  color_beside(image, x, y, dx, dy, rgba);
  float scale = counts / (3.0f * static_cast<float>(o.rays));
  if (image.weight != nullptr)
    scale *= static_cast<float>(image.weight[static_cast<int64_t>(y) * image.view.width + x]) *
             (1.0f / 255.0f);
  finish_ray(exposure, index, rgba, scale, ray, train);
}

// Ray i of those that came from outside.
RECON_FN void given_ray(const recon_types::FieldShape &shape, const recon_types::RayBatch &rays,
                        const float *exposure, int64_t i, RayState &ray, TrainRay &train) {
  for (int k = 0; k < 3; ++k) {
    ray.origin[k] = (rays.origin[3 * i + k] - shape.centre[k]) / shape.half;
    ray.direction[k] = rays.direction[3 * i + k];
    train.background[k] = rays.background[3 * i + k];
  }
  ray.jitter = rays.jitter[i];
  finish_ray(exposure, rays.image[i], rays.target + 4 * i,
             1.0f / (3.0f * static_cast<float>(rays.n)), ray, train);
}

// What follows from the colour that a ray showed, for each channel: its part of the loss and of the
// squared error, the gradients in the sum of its samples' colours and in its photo's log gain. Then
// the gradient's sum over all that lies behind the samples, which is the background.
struct RayOutcome {
  float shown[3], loss[3], error[3], grad[3], exposure[3];
  float behind;
};

// What the loss scales the distortion of a ray by; photos count by pixel, not by channel.
RECON_FN float distortion_scale(const TrainRay &ray, float distortion) {
  return 3.0f * ray.scale * distortion;
}

// `color`: the blended sum of the samples' colours; `transmittance` behind them.
RECON_FN RayOutcome ray_outcome(const TrainRay &ray, const float color[3], float transmittance,
                                float huber_delta) {
  RayOutcome out;
  out.behind = 0.0f;
  for (int k = 0; k < 3; ++k) {
    out.shown[k] = ray.gain[k] * color[k] + transmittance * ray.background[k];
    const float d = out.shown[k] - ray.target[k];
    out.loss[k] = ray.scale * huber(d, huber_delta);
    out.error[k] = ray.scale * d * d;
    const float g = ray.scale * huber_slope(d, huber_delta);
    out.behind += transmittance * g * ray.background[k];
    out.grad[k] = g * ray.gain[k];
    out.exposure[k] = g * ray.gain[k] * color[k];
  }
  return out;
}

RECON_END
