// Where rays come from: random pixels, given rays, the pixels of a view, single points.

#include "cuda/field/dense.cuh"
#include "cuda/field/frame.cuh"

namespace recon_cuda {

namespace {

// What the harmonics of a ray's direction give the first layer of the colour network.
__device__ __forceinline__ void store_bias(const FieldFrame &f, uint32_t r, const float *sphere) {
  float bias[kHidden];
  clear(bias);
  dense<kSphere>(sphere, 1, f.weights.mlp + recon_types::kColor1Sphere, bias);
  store_planes(bias, f.ray_bias + r, f.ray_capacity);
}

__device__ __forceinline__ void store_ray(const FieldFrame &f, uint32_t r, RayState &ray,
                                          const TrainRay &train, float near = 0.0f) {
  recon::start_ray(f.table, f.shape.contracted, ray, near);
  f.ray[r] = ray;
  f.train[r] = train;
  store_bias(f, r, f.train[r].sphere);
}

__global__ void __launch_bounds__(kFieldThreads)
    random_rays_kernel(FieldFrame f, FieldPhotos photos, const float *exposure, StepOptions o) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays)
    return;
  RayState ray;
  TrainRay train;
  recon::random_ray(f.shape, photos.images, photos.count, exposure, o, r, ray, train);
  store_ray(f, r, ray, train);
}

__global__ void __launch_bounds__(kFieldThreads)
    given_rays_kernel(FieldFrame f, recon_types::RayBatch batch, const float *exposure) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays)
    return;
  RayState ray;
  TrainRay train;
  recon::given_ray(f.shape, batch, exposure, r, ray, train);
  store_ray(f, r, ray, train);
}

__global__ void __launch_bounds__(kFieldThreads)
    view_rays_kernel(FieldFrame f, recon_types::View view, float near, int64_t first) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r >= f.rays)
    return;
  const int64_t pixel = first + r;
  RayState ray;
  TrainRay train = {};
  train.scale = recon::camera_ray(f.shape, view, static_cast<float>(pixel % view.width) + 0.5f,
                                  static_cast<float>(pixel / view.width) + 0.5f, ray);
  ray.jitter = f.march.phase;
  recon::sh_basis(3, ray.direction, train.sphere);
  store_ray(f, r, ray, train, near / (f.shape.half * train.scale));
}

__global__ void __launch_bounds__(kFieldThreads)
    point_samples_kernel(FieldFrame f, const float *points, const float *directions) {
  const uint32_t r = blockIdx.x * kFieldThreads + threadIdx.x;
  if (r == 0)
    f.status->samples = f.status->wanted_samples = f.rays; // of one round
  if (r >= f.rays)
    return;
  float p[3], u[3];
  for (int i = 0; i < 3; ++i)
    p[i] = (points[3 * r + i] - f.shape.centre[i]) / f.shape.half;
  recon::unit_from_box(f.shape.contracted, p, u);
  for (int i = 0; i < 3; ++i)
    f.u[i * f.sample_capacity + r] = u[i];
  f.dt[r] = 0.0f;
  f.owner[r] = r;
  if (directions == nullptr)
    return;
  float direction[3];
  for (int i = 0; i < 3; ++i)
    direction[i] = directions[3 * r + i];
  recon::sh_basis(3, direction, f.train[r].sphere);
  store_bias(f, r, f.train[r].sphere);
}

__global__ void __launch_bounds__(kFieldThreads)
    read_points_kernel(FieldFrame f, float *encoded, float *density, float *color) {
  const uint32_t i = blockIdx.x * kFieldThreads + threadIdx.x;
  if (i >= f.rays)
    return;
  if (encoded != nullptr)
    for (int k = 0; k < kEncoded; ++k)
      encoded[static_cast<int64_t>(i) * kEncoded + k] =
          f.encoded[k * static_cast<int64_t>(f.sample_capacity) + i];
  if (density != nullptr)
    density[i] = recon::density_activation(f.raw[i]) / f.shape.half;
  if (color != nullptr)
    for (int k = 0; k < kColors; ++k)
      color[static_cast<int64_t>(i) * kColors + k] =
          f.color[k * static_cast<int64_t>(f.live_capacity) + i];
}

} // namespace

void random_rays(const FieldFrame &f, const FieldPhotos &photos, const float *exposure,
                 const StepOptions &options, Stream stream) {
  RECON_LAUNCH(random_rays_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f,
               photos, exposure, options);
}

void given_rays(const FieldFrame &f, const recon_types::RayBatch &batch, const float *exposure,
                Stream stream) {
  RECON_LAUNCH(given_rays_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f,
               batch, exposure);
}

void view_rays(const FieldFrame &f, const recon_types::View &view, float near, int64_t first,
               Stream stream) {
  RECON_LAUNCH(view_rays_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f, view,
               near, first);
}

void point_samples(const FieldFrame &f, const float *points, const float *directions,
                   Stream stream) {
  RECON_LAUNCH(point_samples_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f,
               points, directions);
}

void read_points(const FieldFrame &f, int64_t first, float *encoded, float *density, float *color,
                 Stream stream) {
  RECON_LAUNCH(read_points_kernel, blocks_for(f.rays, kFieldThreads), kFieldThreads, stream, f,
               encoded == nullptr ? nullptr : encoded + first * kEncoded,
               density == nullptr ? nullptr : density + first,
               color == nullptr ? nullptr : color + first * kColors);
}

} // namespace recon_cuda
