// Runs the blocks and threads of a launch: see cuda_on_cpu.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace host_exec {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  Dim3() = default;
  Dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct ThreadInfo {
  Dim3 index;
  int id = 0;   // within the block
  int lane = 0; // within the warp
  int warp = 0;
};

struct BlockInfo {
  Dim3 index, block, grid;
  uint64_t serial = 0;          // of the block, counted over all launches
  uint64_t phase = 0;           // barriers passed
  uint64_t warp_phase[32] = {}; // __syncwarp()s passed, by warp
};

const ThreadInfo &this_thread();
const BlockInfo &this_block();

// Ends the program: what happened, in which kernel, block and thread.
[[noreturn]] void fail(const char *what, int line);

// Waits for all threads of the block; returns whether any brought a vote.
int barrier(int line, int vote);
void sync_warp(uint32_t mask, int line);
uint64_t shuffle_bits(uint32_t mask, uint64_t value, int source, int line);
uint32_t ballot(uint32_t mask, bool predicate, int line);
uint32_t match_any(uint32_t mask, uint32_t value, int line);

template <class T> T shuffle(uint32_t mask, T value, int source, int line) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle_bits(mask, bits, source, line);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

using Body = void (*)(void *context);
void launch_body(const char *kernel, Dim3 grid, Dim3 block, Body body, void *context);

template <class F> void launch(const char *kernel, Dim3 grid, Dim3 block, F &&body) {
  launch_body(kernel, grid, block, [](void *context) { (*static_cast<F *>(context))(); }, &body);
}

// 0: blocks and threads in their order, 1: in reverse, others: shuffled by this seed.
void set_order(uint64_t order);

// "Device" memory: filled with 0xff, guarded on both sides; guards are checked after each launch.
void *allocate(size_t bytes);
void release(void *memory);
size_t allocated();

// How often something waited for all that the device had to do, and for an event alone; counted by
// the device of the tests.
struct Waits {
  uint64_t device, events;
};
void count_wait(bool device);
Waits waits();

// When an element of shared memory was last written and read.
struct Access {
  uint64_t serial = 0; // block in which the fields below hold
  uint64_t write_phase = 0, write_warp_phase = 0;
  uint64_t read_phase = 0, read_warp_phase = 0;
  int writer = -1;
  int reader = -1, read_warp = -1; // kSeveral: more than one
  bool by_atomics = false;
};
constexpr int kSeveral = -2;

void check_read(Access &access, bool atomic);
void check_write(Access &access, bool atomic);
void check_bounds(int64_t index, int64_t size);

template <class T, int N> class SharedArray {
public:
  class Element {
  public:
    Element(SharedArray &array, int64_t index) : array_(array), index_(index) {}
    operator T() const {
      check_read(array_.access_[index_], false);
      return array_.data_[index_];
    }
    Element &operator=(const T &value) {
      check_write(array_.access_[index_], false);
      array_.data_[index_] = value;
      return *this;
    }
    Element &operator=(const Element &other) { return *this = static_cast<T>(other); }
    Element &operator+=(const T &value) { return *this = static_cast<T>(*this) + value; }
    // Only atomics take addresses of shared elements.
    T *operator&() {
      check_read(array_.access_[index_], true);
      check_write(array_.access_[index_], true);
      return &array_.data_[index_];
    }

  private:
    SharedArray &array_;
    int64_t index_;
  };

  Element operator[](int64_t index) {
    check_bounds(index, N);
    return {*this, index};
  }

private:
  T data_[N];
  Access access_[N];
};

} // namespace host_exec
