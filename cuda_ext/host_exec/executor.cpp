#include "host_exec/executor.h"

#include "host_exec/fibre.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace host_exec {

namespace {

constexpr int kWarp = 32, kMaxThreads = 1024;

struct Thread {
  ThreadInfo info;
  Fibre fibre;
  bool waiting = false, done = false;
};

// A collective that lanes of a warp are arriving at. Values are read after it completed, while the
// next one may already be filling: hence two sets.
struct Warp {
  uint64_t generation = 0;
  uint32_t mask = 0, arrived = 0;
  int line = 0;
  uint64_t values[2][kWarp] = {};
};

struct Executor {
  const char *kernel = "";
  Body body = nullptr;
  void *context = nullptr;
  BlockInfo block;
  std::vector<std::unique_ptr<Thread>> pool;
  int threads = 0, done = 0;
  Thread *current = nullptr;
  Warp warps[kMaxThreads / kWarp];
  int barrier_line = 0, barrier_arrived = 0, barrier_vote = 0, barrier_result = 0;
  uint64_t serial = 0;
};

thread_local Executor executor;
uint64_t order_setting = 0;

// splitmix64 (Steele, Lea and Flood 2014).
uint64_t random_bits(uint64_t &state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::vector<unsigned> ordered(unsigned n, uint64_t &state) {
  std::vector<unsigned> out(n);
  for (unsigned i = 0; i < n; ++i)
    out[i] = order_setting == 1 ? n - 1 - i : i;
  if (order_setting > 1)
    for (unsigned i = n; i > 1; --i)
      std::swap(out[i - 1], out[random_bits(state) % i]);
  return out;
}

void wait() {
  executor.current->waiting = true;
  executor.current->fibre.suspend();
}

void thread_main(void *) {
  executor.body(executor.context);
  executor.current->done = true;
  ++executor.done;
}

// Brings a value to the warp's collective and returns the values of all lanes.
const uint64_t *collective(uint32_t mask, uint64_t value, int line) {
  const ThreadInfo &me = executor.current->info;
  Warp &warp = executor.warps[me.warp];
  const int lanes = executor.threads - me.warp * kWarp;
  const uint32_t present = lanes >= kWarp ? 0xffffffffu : (1u << lanes) - 1u;
  if ((mask & present) != mask)
    fail("a collective's mask names lanes that the block lacks", line);
  if (!(mask >> me.lane & 1))
    fail("a collective's mask leaves out a lane that calls it", line);
  if (warp.arrived == 0) {
    warp.mask = mask;
    warp.line = line;
  } else if (warp.mask != mask || warp.line != line) {
    fail("the lanes of a warp are at different collectives", line);
  }
  const uint64_t generation = warp.generation;
  uint64_t *values = warp.values[generation & 1];
  values[me.lane] = value;
  warp.arrived |= 1u << me.lane;
  if (warp.arrived == mask) {
    warp.arrived = 0;
    ++warp.generation;
    for (int i = 0; i < kWarp; ++i)
      if (mask >> i & 1)
        executor.pool[static_cast<size_t>(me.warp * kWarp + i)]->waiting = false;
  } else {
    while (warp.generation == generation)
      wait();
  }
  return values;
}

void run_block(const std::vector<unsigned> &order) {
  Executor &e = executor;
  e.done = 0;
  e.barrier_arrived = 0;
  for (Warp &warp : e.warps)
    warp.arrived = 0;
  for (int i = 0; i < e.threads; ++i) {
    Thread &t = *e.pool[static_cast<size_t>(i)];
    t.waiting = t.done = false;
    t.fibre.start(thread_main, nullptr);
  }
  while (e.done < e.threads) {
    bool moved = false;
    for (const unsigned i : order) {
      Thread &t = *e.pool[i];
      if (t.waiting || t.done)
        continue;
      moved = true;
      e.current = &t;
      t.fibre.resume();
    }
    if (!moved) {
      for (int i = 0; i < e.threads; ++i)
        if (e.pool[static_cast<size_t>(i)]->waiting)
          e.current = e.pool[static_cast<size_t>(i)].get();
      fail(e.barrier_arrived != 0 ? "not all threads of the block reach this barrier"
                                  : "not all lanes of the mask reach this collective",
           e.barrier_arrived != 0 ? e.barrier_line : e.warps[e.current->info.warp].line);
    }
  }
}

// Allocations with their guards.
constexpr size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xa5;
std::mutex memory_mutex;
std::unordered_map<unsigned char *, size_t> allocations;
size_t total_allocated = 0;

void check_guards() {
  const std::lock_guard<std::mutex> lock(memory_mutex);
  for (const auto &[base, bytes] : allocations)
    for (size_t i = 0; i < kGuard; ++i)
      if (base[i] != kGuardByte || base[kGuard + bytes + i] != kGuardByte) {
        std::fprintf(stderr, "host_exec: %s wrote beside an allocation of %zu bytes\n",
                     executor.kernel, bytes);
        std::abort();
      }
}

} // namespace

const ThreadInfo &this_thread() { return executor.current->info; }
const BlockInfo &this_block() { return executor.block; }

void fail(const char *what, int line) {
  const Executor &e = executor;
  std::fprintf(stderr, "host_exec: %s\n  in %s, line %d", what, e.kernel, line);
  if (e.current != nullptr)
    std::fprintf(stderr, ", block (%u, %u, %u), thread %d", e.block.index.x, e.block.index.y,
                 e.block.index.z, e.current->info.id);
  std::fprintf(stderr, "\n");
  std::abort();
}

int barrier(int line, int vote) {
  Executor &e = executor;
  if (e.barrier_arrived == 0) {
    e.barrier_line = line;
    e.barrier_vote = 0;
  } else if (e.barrier_line != line) {
    fail("the threads of a block are at different barriers", line);
  }
  e.barrier_vote |= vote;
  ++e.barrier_arrived;
  const uint64_t phase = e.block.phase;
  if (e.barrier_arrived == e.threads) {
    e.barrier_arrived = 0;
    e.barrier_result = e.barrier_vote;
    ++e.block.phase;
    for (int i = 0; i < e.threads; ++i)
      e.pool[static_cast<size_t>(i)]->waiting = false;
  } else {
    while (e.block.phase == phase)
      wait();
  }
  // The next barrier cannot complete before this thread has read the result of this one.
  return e.barrier_result;
}

void sync_warp(uint32_t mask, int line) {
  Executor &e = executor;
  const int warp = e.current->info.warp;
  const uint64_t before = e.warps[warp].generation;
  collective(mask, 0, line);
  // The first lane to return counts it for all.
  if (e.block.warp_phase[warp] <= before)
    e.block.warp_phase[warp] = before + 1;
}

uint64_t shuffle_bits(uint32_t mask, uint64_t value, int source, int line) {
  if (!(mask >> source & 1))
    fail("a shuffle reads from a lane outside its mask", line);
  return collective(mask, value, line)[source];
}

uint32_t ballot(uint32_t mask, bool predicate, int line) {
  const uint64_t *values = collective(mask, predicate, line);
  uint32_t out = 0;
  for (int i = 0; i < kWarp; ++i)
    if (mask >> i & 1)
      out |= static_cast<uint32_t>(values[i] != 0) << i;
  return out;
}

uint32_t match_any(uint32_t mask, uint32_t value, int line) {
  const uint64_t *values = collective(mask, value, line);
  uint32_t out = 0;
  for (int i = 0; i < kWarp; ++i)
    if (mask >> i & 1)
      out |= static_cast<uint32_t>(values[i] == value) << i;
  return out;
}

void launch_body(const char *kernel, Dim3 grid, Dim3 block, Body body, void *context) {
  Executor &e = executor;
  e.kernel = kernel;
  e.body = body;
  e.context = context;
  e.threads = static_cast<int>(block.x * block.y * block.z);
  e.current = nullptr;
  if (e.threads < 1 || e.threads > kMaxThreads || grid.x < 1 || grid.y < 1 || grid.z < 1)
    fail("a launch of this size is refused by CUDA", 0);
  while (static_cast<int>(e.pool.size()) < e.threads)
    e.pool.push_back(std::make_unique<Thread>());
  for (int i = 0; i < e.threads; ++i) {
    ThreadInfo &info = e.pool[static_cast<size_t>(i)]->info;
    const auto u = static_cast<unsigned>(i);
    info.index = Dim3(u % block.x, u / block.x % block.y, u / (block.x * block.y));
    info.id = i;
    info.lane = i % kWarp;
    info.warp = i / kWarp;
  }
  e.block.block = block;
  e.block.grid = grid;
  uint64_t state = order_setting;
  for (const unsigned b : ordered(grid.x * grid.y * grid.z, state)) {
    e.block.index = Dim3(b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y));
    e.block.serial = ++e.serial;
    e.block.phase = 0;
    run_block(ordered(static_cast<unsigned>(e.threads), state));
  }
  e.current = nullptr;
  check_guards();
}

void set_order(uint64_t order) { order_setting = order; }

void *allocate(size_t bytes) {
  auto *base = static_cast<unsigned char *>(std::malloc(bytes + 2 * kGuard));
  if (base == nullptr)
    return nullptr;
  std::memset(base, kGuardByte, kGuard);
  std::memset(base + kGuard, 0xff, bytes);
  std::memset(base + kGuard + bytes, kGuardByte, kGuard);
  const std::lock_guard<std::mutex> lock(memory_mutex);
  allocations[base] = bytes;
  total_allocated += bytes;
  return base + kGuard;
}

void release(void *memory) {
  if (memory == nullptr)
    return;
  auto *base = static_cast<unsigned char *>(memory) - kGuard;
  {
    const std::lock_guard<std::mutex> lock(memory_mutex);
    total_allocated -= allocations.at(base);
    allocations.erase(base);
  }
  std::free(base);
}

size_t allocated() {
  const std::lock_guard<std::mutex> lock(memory_mutex);
  return total_allocated;
}

namespace {
std::atomic<uint64_t> device_waits{0}, event_waits{0};
}

void count_wait(bool device) { ++(device ? device_waits : event_waits); }
Waits waits() { return {device_waits, event_waits}; }

namespace {

// Forgets what happened in earlier blocks.
void renew(Access &a) {
  if (a.serial != executor.block.serial) {
    a = Access();
    a.serial = executor.block.serial;
  }
}

} // namespace

void check_read(Access &a, bool atomic) {
  renew(a);
  const BlockInfo &block = executor.block;
  const ThreadInfo &me = executor.current->info;
  if (a.writer == -1)
    fail("shared memory is read before it was written", 0);
  const bool same_warp = a.writer >= 0 && a.writer / kWarp == me.warp;
  if (a.writer != me.id && a.write_phase == block.phase && !(atomic && a.by_atomics) &&
      !(same_warp && a.write_warp_phase < block.warp_phase[me.warp]))
    fail("shared memory is read while another thread writes it: a barrier is missing", 0);
  if (atomic)
    return;
  const bool first = a.reader == -1 || a.read_phase != block.phase;
  if (first) {
    a.reader = me.id;
    a.read_warp = me.warp;
  } else {
    if (a.reader != me.id)
      a.reader = kSeveral;
    if (a.read_warp != me.warp)
      a.read_warp = kSeveral;
  }
  a.read_phase = block.phase;
  a.read_warp_phase = block.warp_phase[me.warp];
}

void check_write(Access &a, bool atomic) {
  renew(a);
  const BlockInfo &block = executor.block;
  const ThreadInfo &me = executor.current->info;
  const bool writer_same_warp = a.writer >= 0 && a.writer / kWarp == me.warp;
  if (a.writer != -1 && a.writer != me.id && a.write_phase == block.phase &&
      !(atomic && a.by_atomics) &&
      !(writer_same_warp && a.write_warp_phase < block.warp_phase[me.warp]))
    fail("shared memory is written by two threads: a barrier is missing", 0);
  if (a.reader != -1 && a.reader != me.id && a.read_phase == block.phase &&
      !(a.read_warp == me.warp && a.read_warp_phase < block.warp_phase[me.warp]))
    fail("shared memory is written while another thread reads it: a barrier is missing", 0);
  a.writer = me.id;
  a.write_phase = block.phase;
  a.write_warp_phase = block.warp_phase[me.warp];
  a.by_atomics = atomic;
}

void check_bounds(int64_t index, int64_t size) {
  if (index < 0 || index >= size)
    fail("shared memory is accessed outside its bounds", 0);
}

} // namespace host_exec
