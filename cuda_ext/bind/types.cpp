#include "bind/types.h"

#include "recon/math/projection.h"
#include "recon/splats.h"

#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using namespace recon_types;

namespace {

AdamOptions adam_options(const std::vector<float> &rates, float beta1, float beta2, float epsilon,
                         int64_t step, bool update_sh, float opacity_reg, float scale_reg) {
  if (rates.size() != kRows)
    throw std::invalid_argument("one learning rate a row");
  AdamOptions o = {};
  for (int i = 0; i < kRows; ++i)
    o.learning_rate[i] = rates[static_cast<size_t>(i)];
  o.beta1 = beta1;
  o.beta2 = beta2;
  o.epsilon = epsilon;
  o.step = step;
  o.update_sh = update_sh;
  o.opacity_reg = opacity_reg;
  o.scale_reg = scale_reg;
  return o;
}

} // namespace

void recon_bind::bind_types(nb::module_ &m) {
  m.attr("BLOCK") = kBlock;
  m.attr("ROWS") = kRows;
  m.attr("TILE") = kTile;
  m.attr("NEAR") = recon::kNear;
  m.attr("BLUR") = recon::kBlur;
  m.attr("CLAMP_FOV") = recon::kClampFov;
  m.attr("COMPENSATION_FLOOR") = recon::kCompensationFloor;
  m.attr("ALPHA_MIN") = recon::kAlphaMin;
  m.attr("ALPHA_MAX") = recon::kAlphaMax;
  m.attr("T_MIN") = recon::kTransmittanceMin;

  nb::class_<View>(m, "View").def(
      "__init__", [](View *v, int width, int height, float fx, float fy, float cx, float cy,
                     const std::vector<float> &rotation, const std::vector<float> &translation) {
        if (rotation.size() != 9 || translation.size() != 3 || width < 1 || height < 1)
          throw std::invalid_argument("a view needs a positive size, 9 and 3 numbers");
        new (v) View{width, height, fx, fy, cx, cy, {}, {}};
        for (size_t i = 0; i < 9; ++i)
          v->rotation[i] = rotation[i];
        for (size_t i = 0; i < 3; ++i)
          v->translation[i] = translation[i];
      });

  nb::class_<RenderOptions>(m, "RenderOptions")
      .def("__init__", [](RenderOptions *o, float r, float g, float b, int sh_degree,
                          bool antialias, bool depth) {
        if (sh_degree < 0 || sh_degree > 3)
          throw std::invalid_argument("SH degree must be 0 to 3");
        new (o) RenderOptions{{r, g, b}, sh_degree, antialias, depth};
      });

  nb::class_<AdamOptions>(m, "AdamOptions").def(nb::new_(&adam_options));
}
