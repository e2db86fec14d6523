// Per-splat forward pass: footprint and colour of every splat that the view sees. One thread a
// splat: neighbours in a block of parameters are neighbours in a warp, so that rows are read whole.

#include "cuda/frame.cuh"
#include "cuda/parameters.cuh"

namespace recon_cuda {

namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) project_kernel(Frame f, const float *params) {
  const uint32_t id = blockIdx.x * kThreads + threadIdx.x;
  if (id >= f.n)
    return;
  const float *p = splat_parameters(params, id);
  const auto cam = recon::pinhole_of(f.view);
  const auto g = load_gaussian(p);
  const auto state = recon::projection_state(g, cam, f.options.antialias);
  const auto footprint = recon::footprint(state, cam);
  const auto e = recon::ellipse(footprint);
  if (!recon::on_image(g, footprint, e, cam)) {
    f.depth_keys[id] = kInvisible;
    return;
  }
  f.depth_keys[id] = __float_as_uint(footprint.depth); // positive floats order like their bits

  float centre[3], direction[3], basis[16], color[3] = {0.5f, 0.5f, 0.5f};
  camera_centre(f.view, centre);
  recon::view_direction(g.mean, centre, direction);
  recon::sh_basis(f.options.sh_degree, direction, basis);
  const int count = recon::sh_count(f.options.sh_degree);
#pragma unroll
  for (int k = 0; k < 16; ++k)
    if (k < count)
      for (int c = 0; c < 3; ++c)
        color[c] += basis[k] * row(p, recon_types::kRowSh + 3 * k + c);
  for (int c = 0; c < 3; ++c)
    color[c] = color[c] > 0.0f ? color[c] : 0.0f;

  float4 *record = f.records + static_cast<size_t>(id) * kRecordVectors;
  record[0] = make_float4(footprint.mean[0], footprint.mean[1], e.a, e.b);
  record[1] = make_float4(e.c, e.log2_opacity, color[0], color[1]);
  record[2] = make_float4(color[2], footprint.depth, e.hx, e.hy);
  record[3] = make_float4(e.shear, e.half_width, e.dy_right, e.inv_hy);
}

} // namespace

void project(const Frame &frame, const float *params, Stream stream) {
  RECON_LAUNCH(project_kernel, blocks_for(frame.n, kThreads), kThreads, stream, frame, params);
}

} // namespace recon_cuda
