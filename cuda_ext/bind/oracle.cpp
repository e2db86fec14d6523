// The per-element mathematics in double precision, by hand and by dual numbers: what the tests hold
// the hand-written derivatives against.

#include "bind/oracle.h"

#include "recon/math/dual.h"
#include "recon/math/sh.h"

#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using Numbers = std::vector<double>;

namespace {

using recon::Dual;
using recon::Footprint;
using recon::Gaussian;
using recon::PinholeT;

constexpr int kInputs = 11; // mean, quat, log scale, opacity logit
constexpr int kOutputs = 7; // mean, conic, opacity, depth

void need(const Numbers &x, size_t n) {
  if (x.size() != n)
    throw std::invalid_argument("wrong number of values");
}

// cam: fx fy cx cy, rotation (9), translation (3), width, height.
PinholeT<double> pinhole(const Numbers &cam) {
  need(cam, 18);
  PinholeT<double> p;
  p.fx = cam[0];
  p.fy = cam[1];
  p.cx = cam[2];
  p.cy = cam[3];
  for (size_t i = 0; i < 9; ++i)
    p.rotation[i] = cam[4 + i];
  for (size_t i = 0; i < 3; ++i)
    p.translation[i] = cam[13 + i];
  p.width = cam[16];
  p.height = cam[17];
  return p;
}

template <class T> Gaussian<T> gaussian(const T *x) {
  Gaussian<T> g;
  for (int i = 0; i < 3; ++i)
    g.mean[i] = x[i];
  for (int i = 0; i < 4; ++i)
    g.quat[i] = x[3 + i];
  for (int i = 0; i < 3; ++i)
    g.log_scale[i] = x[7 + i];
  g.logit_opacity = x[10];
  return g;
}

template <class T> void flatten(const Footprint<T> &f, T out[kOutputs]) {
  out[0] = f.mean[0];
  out[1] = f.mean[1];
  for (int i = 0; i < 3; ++i)
    out[2 + i] = f.conic[i];
  out[5] = f.opacity;
  out[6] = f.depth;
}

// Footprint of a splat: mean (2), conic (3), opacity, depth.
Numbers project(const Numbers &splat, const Numbers &cam, bool antialias) {
  need(splat, kInputs);
  const auto p = pinhole(cam);
  const auto s = recon::projection_state(gaussian(splat.data()), p, antialias);
  Numbers out(kOutputs);
  flatten(recon::footprint(s, p), out.data());
  return out;
}

// The 7 x 11 Jacobian of project(), row-major, by dual numbers.
Numbers project_jacobian(const Numbers &splat, const Numbers &cam, bool antialias) {
  need(splat, kInputs);
  const auto p = pinhole(cam);
  Dual<kInputs> x[kInputs];
  for (int i = 0; i < kInputs; ++i)
    x[i] = Dual<kInputs>::variable(splat[static_cast<size_t>(i)], i);
  const auto s = recon::projection_state(gaussian(x), p, antialias);
  Dual<kInputs> y[kOutputs];
  flatten(recon::footprint(s, p), y);
  Numbers out;
  for (const auto &value : y)
    for (const double slope : value.d)
      out.push_back(slope);
  return out;
}

// The hand-written derivative: gradient of the 11 parameters from that of the 7 outputs.
Numbers project_vjp(const Numbers &splat, const Numbers &cam, bool antialias, const Numbers &grad) {
  need(splat, kInputs);
  need(grad, kOutputs);
  const auto p = pinhole(cam);
  const auto s = recon::projection_state(gaussian(splat.data()), p, antialias);
  Footprint<double> df = {};
  df.mean[0] = grad[0];
  df.mean[1] = grad[1];
  for (size_t i = 0; i < 3; ++i)
    df.conic[i] = grad[2 + i];
  df.opacity = grad[5];
  df.depth = grad[6];
  const auto g = recon::projection_vjp(s, p, antialias, df);
  Numbers out;
  for (const double x : g.mean)
    out.push_back(x);
  for (const double x : g.quat)
    out.push_back(x);
  for (const double x : g.log_scale)
    out.push_back(x);
  out.push_back(g.logit_opacity);
  return out;
}

// Weighted sum of the SH basis at the direction from `centre` to `mean`, as a function of the mean.
template <class T>
T sh_sum(const T mean[3], const double centre[3], int degree, const double *weights) {
  T d[3], basis[16];
  recon::view_direction(mean, centre, d);
  recon::sh_basis(degree, d, basis);
  T out(0.0);
  for (int k = 0; k < recon::sh_count(degree); ++k)
    out = out + basis[k] * T(weights[k]);
  return out;
}

void check_sh(const Numbers &mean, const Numbers &centre, int degree, const Numbers &weights) {
  need(mean, 3);
  need(centre, 3);
  if (degree < 0 || degree > 3)
    throw std::invalid_argument("SH degree must be 0 to 3");
  need(weights, static_cast<size_t>(recon::sh_count(degree)));
}

// Value, then the gradient in the mean by dual numbers, then by hand.
Numbers sh_gradients(const Numbers &mean, const Numbers &centre, int degree,
                     const Numbers &weights) {
  check_sh(mean, centre, degree, weights);
  Dual<3> x[3];
  for (int i = 0; i < 3; ++i)
    x[i] = Dual<3>::variable(mean[static_cast<size_t>(i)], i);
  const Dual<3> value = sh_sum(x, centre.data(), degree, weights.data());
  Numbers out = {value.v, value.d[0], value.d[1], value.d[2]};
  double d[3], g[3], by_hand[3];
  const double inv = recon::view_direction(mean.data(), centre.data(), d);
  recon::sh_basis_vjp(degree, d, weights.data(), g);
  recon::view_direction_vjp(d, inv, g, by_hand);
  for (const double x : by_hand)
    out.push_back(x);
  return out;
}

} // namespace

void bind_oracle(nb::module_ &m) {
  nb::module_ oracle = m.def_submodule("oracle", "The shared mathematics in double precision.");
  oracle.def("project", &project);
  oracle.def("project_jacobian", &project_jacobian);
  oracle.def("project_vjp", &project_vjp);
  oracle.def("sh_gradients", &sh_gradients);
}
