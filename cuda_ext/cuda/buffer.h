// Device memory that only grows, and sets of such memory. A set has visit(work, f), which calls
// f(buffer, n) for each buffer with its number of elements for some work: allocation, addition and
// estimate cannot differ.
#pragma once

#include "cuda/device.h"

#include <string>

namespace recon_cuda {

inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T> class DeviceBuffer {
public:
  DeviceBuffer() = default;
  DeviceBuffer(const DeviceBuffer &) = delete;
  DeviceBuffer &operator=(const DeviceBuffer &) = delete;
  ~DeviceBuffer() { device_release(data_); }

  // Bytes that reserve(n) would allocate.
  int64_t missing(int64_t n) const {
    return n > capacity_ ? n * static_cast<int64_t>(sizeof(T)) : 0;
  }

  // Room for n elements (at least one: null means absent to kernels). The content is lost.
  void reserve(int64_t n) {
    n = n < 1 ? 1 : n;
    if (n <= capacity_)
      return;
    device_release(data_);
    data_ = nullptr;
    capacity_ = 0;
    data_ = static_cast<T *>(device_allocate(static_cast<size_t>(n) * sizeof(T)));
    capacity_ = n;
  }

  T *data() const { return data_; }
  int64_t bytes() const { return capacity_ * static_cast<int64_t>(sizeof(T)); }

private:
  T *data_ = nullptr;
  int64_t capacity_ = 0;
};

// Bytes that reserve_all would allocate.
template <class Set, class Work> int64_t missing_bytes(Set &set, const Work &work) {
  int64_t bytes = 0;
  set.visit(work, [&](auto &buffer, int64_t n) { bytes += buffer.missing(n < 1 ? 1 : n); });
  return bytes;
}

// Bytes that are allocated; `work` is any for which all buffers are visited.
template <class Set, class Work> int64_t allocated_bytes(Set &set, const Work &work) {
  int64_t bytes = 0;
  set.visit(work, [&](auto &buffer, int64_t) { bytes += buffer.bytes(); });
  return bytes;
}

// Makes room. Throws OutOfDeviceMemory before it allocates anything where there is too little
// memory for all: `what()` says for what.
template <class Set, class Work, class What>
void reserve_all(Set &set, const Work &work, What &&what) {
  int64_t freed = 0;
  const int64_t missing = missing_bytes(set, work);
  if (missing == 0)
    return;
  set.visit(work, [&](auto &buffer, int64_t n) {
    freed += buffer.missing(n < 1 ? 1 : n) > 0 ? buffer.bytes() : 0;
  });
  const int64_t free = memory_info().free + freed;
  auto megabytes = [](int64_t bytes) { return std::to_string((bytes + 999999) / 1000000) + " MB"; };
  if (missing > free)
    throw OutOfDeviceMemory(what() + " needs " + megabytes(missing) +
                            " more GPU memory, of which " + megabytes(free) + " are free");
  set.visit(work, [&](auto &buffer, int64_t n) { buffer.reserve(n); });
}

} // namespace recon_cuda
