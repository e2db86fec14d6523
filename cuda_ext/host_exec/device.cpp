// The device of the tests: main memory, and nothing asynchronous.
#include "cuda/device.h"

#include "host_exec/executor.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace recon_cuda {

namespace {
constexpr int64_t kTotal = int64_t{4} << 30;
}

int device_count() { return 1; }
const char *device_problem() { return ""; }
void device_name(int, char *out, size_t size) { std::snprintf(out, size, "CPU, for tests"); }

MemoryInfo memory_info() { return {kTotal - static_cast<int64_t>(host_exec::allocated()), kTotal}; }

void *device_allocate(size_t bytes) {
  void *out =
      static_cast<int64_t>(bytes) > memory_info().free ? nullptr : host_exec::allocate(bytes);
  if (out == nullptr)
    throw OutOfDeviceMemory("the GPU has no " + std::to_string(bytes / 1000000) + " MB left");
  return out;
}

void device_release(void *memory) { host_exec::release(memory); }
void *pinned_allocate(size_t bytes) { return std::calloc(1, bytes); }
void pinned_release(void *memory) { std::free(memory); }
void copy_to_device(void *to, const void *from, size_t bytes, Stream) {
  std::memcpy(to, from, bytes);
}
void copy_to_host(void *to, const void *from, size_t bytes, Stream) {
  std::memcpy(to, from, bytes);
}
void fill_zero(void *memory, size_t bytes, Stream) { std::memset(memory, 0, bytes); }
void synchronise(Stream) {}
void *event_create() { return nullptr; }
void event_destroy(void *) {}
void event_record(void *, Stream) {}
bool event_passed(void *) { return true; }
void check_launch(const char *) {}

} // namespace recon_cuda
