// Device memory that only grows.
#pragma once

#include "cuda/device.h"

namespace recon_cuda {

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

} // namespace recon_cuda
