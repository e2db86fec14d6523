// Memory, copies and events of the device: CUDA's (device.cu), or main memory in tests
// (host_exec/device.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace recon_cuda {

using Stream = void *; // a cudaStream_t; null is the default stream

// The device has too little memory left.
struct OutOfDeviceMemory : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct MemoryInfo {
  int64_t free, total; // bytes
};

// Devices that can be used; 0 without a driver. Never throws.
int device_count();
// Why there are none: "" where there are.
const char *device_problem();
// "name, compute capability, memory" of a device.
void device_name(int index, char *out, size_t size);
MemoryInfo memory_info();

// Memory that kernels can use. Throws OutOfDeviceMemory.
void *device_allocate(size_t bytes);
void device_release(void *memory);
// Page-locked main memory that asynchronous copies can reach.
void *pinned_allocate(size_t bytes);
void pinned_release(void *memory);

void copy_to_device(void *to, const void *from, size_t bytes, Stream stream); // asynchronous
void copy_to_host(void *to, const void *from, size_t bytes, Stream stream);   // asynchronous
void fill_zero(void *memory, size_t bytes, Stream stream);                    // asynchronous
void synchronise(Stream stream);

// A mark in a stream that can be asked whether it was passed, without waiting.
void *event_create();
void event_destroy(void *event);
void event_record(void *event, Stream stream);
bool event_passed(void *event);
void event_wait(void *event);

// Throws when the launch of `kernel` was refused.
void check_launch(const char *kernel);

} // namespace recon_cuda
