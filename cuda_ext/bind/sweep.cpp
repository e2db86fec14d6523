// Plane sweeping in Python.

#include "bind/sweep.h"

#include "bind/isa.h"
#include "cpu/sweep/sweep.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace nb = nanobind;
using namespace recon_cpu;

namespace {

using Grey = std::tuple<uintptr_t, int, int>; // address, width, height
using Neighbour = std::tuple<Grey, std::vector<float>, std::vector<float>>;

GreyImage grey_image(const Grey &grey) {
  const auto [address, width, height] = grey;
  if (width < 2 || height < 2)
    throw std::invalid_argument("an image is at least 2x2");
  return {reinterpret_cast<const float *>(address), width, height};
}

} // namespace

void bind_sweep(nb::module_ &m) {
  m.def(
      "plane_sweep",
      [](const Grey &reference, const std::vector<Neighbour> &neighbours, int planes, float first,
         float step, uintptr_t inverse_depth, uintptr_t score, const std::string &isa) {
        std::vector<SweepView> views;
        for (const auto &[grey, homography, epipole] : neighbours) {
          if (homography.size() != 9 || epipole.size() != 3)
            throw std::invalid_argument("a homography has 9 numbers, an epipole 3");
          SweepView view = {grey_image(grey), {}, {}};
          std::copy(homography.begin(), homography.end(), view.homography);
          std::copy(epipole.begin(), epipole.end(), view.epipole);
          views.push_back(view);
        }
        const nb::gil_scoped_release release;
        find_isa(isa).plane_sweep(grey_image(reference), views.data(),
                                  static_cast<int>(views.size()), {planes, first, step},
                                  reinterpret_cast<float *>(inverse_depth),
                                  reinterpret_cast<float *>(score));
      },
      nb::arg("reference"), nb::arg("neighbours"), nb::arg("planes"), nb::arg("first"),
      nb::arg("step"), nb::arg("inverse_depth"), nb::arg("score"), nb::arg("isa") = "");
}
