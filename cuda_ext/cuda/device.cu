#include "cuda/device.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <string>

namespace recon_cuda {

namespace {

void check(cudaError_t error, const char *what) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

} // namespace

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

const char *device_problem() {
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
    return "there is no NVIDIA driver"; // the error below would call it too old
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess)
    return cudaGetErrorString(error);
  return count == 0 ? "there is no CUDA device" : "";
}

void device_name(int index, char *out, size_t size) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, index), "asking for the GPU's properties");
  std::snprintf(out, size, "%s, compute capability %d.%d, %.1f GB", p.name, p.major, p.minor,
                static_cast<double>(p.totalGlobalMem) / 1e9);
}

MemoryInfo memory_info() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the GPU's memory");
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

void *device_allocate(size_t bytes) {
  void *out = nullptr;
  const cudaError_t error = cudaMalloc(&out, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError(); // the error is reported here and nowhere else
    throw OutOfDeviceMemory("the GPU has no " + std::to_string(bytes / 1000000) + " MB left");
  }
  check(error, "allocating GPU memory");
  return out;
}

void device_release(void *memory) { cudaFree(memory); }

void *pinned_allocate(size_t bytes) {
  void *out = nullptr;
  check(cudaMallocHost(&out, bytes), "allocating page-locked memory");
  return out;
}

void pinned_release(void *memory) { cudaFreeHost(memory); }

void copy_to_device(void *to, const void *from, size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)),
        "copying to the GPU");
}

void copy_to_host(void *to, const void *from, size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)),
        "copying from the GPU");
}

void fill_zero(void *memory, size_t bytes, Stream stream) {
  check(cudaMemsetAsync(memory, 0, bytes, static_cast<cudaStream_t>(stream)),
        "clearing GPU memory");
}

void synchronise(Stream stream) {
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "waiting for the GPU");
}

void *event_create() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  return event;
}

void event_destroy(void *event) { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }

void event_record(void *event, Stream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)),
        "recording an event");
}

bool event_passed(void *event) {
  const cudaError_t error = cudaEventQuery(static_cast<cudaEvent_t>(event));
  if (error == cudaErrorNotReady)
    return false;
  check(error, "asking for an event");
  return true;
}

void event_wait(void *event) {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "waiting for an event");
}

void check_launch(const char *kernel) { check(cudaGetLastError(), kernel); }

} // namespace recon_cuda
