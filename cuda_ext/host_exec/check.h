// What the parts of the program check share.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace check {

// Uniform in -1..1.
inline float random_float(uint32_t &state) {
  state = state * 1664525u + 1013904223u;
  return static_cast<float>(state >> 8) / static_cast<float>(1u << 23) - 1.0f;
}

// Device memory with the same content as a vector; freed with the object, so that the sanitizer
// watches its bounds.
template <class T> struct Device {
  T *data;
  size_t count;
  explicit Device(const std::vector<T> &from) : count(from.size()) {
    data = static_cast<T *>(std::malloc(count * sizeof(T) + 1));
    for (size_t i = 0; i < count; ++i)
      data[i] = from[i];
  }
  ~Device() { std::free(data); }
  Device(const Device &) = delete;
};

inline bool all_finite(const Device<float> &values) {
  for (size_t i = 0; i < values.count; ++i)
    if (!std::isfinite(values.data[i]))
      return false;
  return true;
}

// Calls of the field engine on a field of noise; whether all results are finite.
bool run_field(int width, int height, int64_t samples, bool contracted);

} // namespace check
