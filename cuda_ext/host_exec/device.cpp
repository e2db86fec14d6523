// The device of the tests: main memory. Kernels run at once, but copies keep to what CUDA promises
// and to no more: what a copy brings to the host is there once something has waited for it, and
// what it takes from the host must stay as it is until then.
#include "cuda/device.h"

#include "host_exec/executor.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <vector>

namespace recon_cuda {

namespace {

constexpr int64_t kTotal = int64_t{4} << 30;

// A copy that nothing has waited for, and what is copied.
struct Copy {
  uint64_t number;
  void *to;         // of a copy to the host
  const void *from; // of a copy to the device
  std::vector<unsigned char> bytes;
};

std::mutex copies_mutex;
std::deque<Copy> copies;
uint64_t last_number = 0;

void queue_copy(void *to, const void *from, const void *content, size_t bytes) {
  const auto *first = static_cast<const unsigned char *>(content);
  const std::lock_guard<std::mutex> lock(copies_mutex);
  copies.push_back({++last_number, to, from, std::vector<unsigned char>(first, first + bytes)});
}

// Completes the copies up to a number.
void complete(uint64_t number) {
  const std::lock_guard<std::mutex> lock(copies_mutex);
  for (; !copies.empty() && copies.front().number <= number; copies.pop_front()) {
    const Copy &copy = copies.front();
    if (copy.bytes.empty())
      continue;
    if (copy.to != nullptr)
      std::memcpy(copy.to, copy.bytes.data(), copy.bytes.size());
    else if (std::memcmp(copy.from, copy.bytes.data(), copy.bytes.size()) != 0)
      host_exec::fail("main memory changed while it may still be copied to the device", 0);
  }
}

void complete_all() { complete(UINT64_MAX); }

} // namespace

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

// To give memory back is to wait for the device.
void device_release(void *memory) {
  if (memory == nullptr)
    return;
  synchronise(nullptr);
  host_exec::release(memory);
}

void *pinned_allocate(size_t bytes) { return std::calloc(1, bytes); }

void pinned_release(void *memory) {
  synchronise(nullptr);
  std::free(memory);
}

void copy_to_device(void *to, const void *from, size_t bytes, Stream) {
  std::memcpy(to, from, bytes);
  queue_copy(nullptr, from, from, bytes);
}

void copy_to_host(void *to, const void *from, size_t bytes, Stream) {
  queue_copy(to, nullptr, from, bytes);
}

void fill_zero(void *memory, size_t bytes, Stream) { std::memset(memory, 0, bytes); }

void synchronise(Stream) {
  host_exec::count_wait(true);
  complete_all();
}

void *event_create() { return new uint64_t(0); }
void event_destroy(void *event) { delete static_cast<uint64_t *>(event); }

void event_record(void *event, Stream) {
  const std::lock_guard<std::mutex> lock(copies_mutex);
  *static_cast<uint64_t *>(event) = last_number;
}

bool event_passed(void *event) {
  complete(*static_cast<uint64_t *>(event));
  return true;
}

void event_wait(void *event) {
  host_exec::count_wait(false);
  complete(*static_cast<uint64_t *>(event));
}

void check_launch(const char *) {}

} // namespace recon_cuda
