#include "cpu/threads.h"

#include "cpu/engine.h"
#include "cpu/field/field.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace recon_cpu {

Engine::~Engine() = default;
FieldEngine::~FieldEngine() = default;

namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

struct Pool {
  // A job is published by its generation; workers spin briefly for the next one before sleeping,
  // since the stages of a step follow each other within microseconds.
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> generation{0};
  std::atomic<int> next{0};
  std::atomic<int> running{0};
  bool quit = false;
  ChunkFn fn = nullptr;
  void *context = nullptr;
  int chunks = 0;
  std::vector<std::thread> threads;

  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i)
      threads.emplace_back([this, i] { work(i + 1); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      quit = true;
      generation.fetch_add(1);
    }
    wake.notify_all();
    for (auto &t : threads)
      t.join();
  }

  void claim(int thread) {
    for (int i = next.fetch_add(1); i < chunks; i = next.fetch_add(1))
      fn(context, i, thread);
  }

  void work(int thread) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < 2000 && generation.load(std::memory_order_acquire) == seen; ++spin)
        relax();
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return generation.load() != seen; });
      }
      seen = generation.load(std::memory_order_acquire);
      if (quit)
        return;
      claim(thread);
      running.fetch_sub(1, std::memory_order_release);
    }
  }

  void run(int count, ChunkFn function, void *argument) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      fn = function;
      context = argument;
      chunks = count;
      next.store(0);
      running.store(static_cast<int>(threads.size()));
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    claim(0);
    // Every worker checks in for every job, so that none can claim from the next one by mistake.
    for (int spin = 0; running.load(std::memory_order_acquire) != 0; ++spin)
      spin < 4000 ? relax() : std::this_thread::yield();
  }
};

int wanted_threads = 0;
std::mutex pool_use; // held by the caller whose job the pool is running
Pool *pool = nullptr;
#if !defined(_WIN32)
pid_t pool_pid = 0;
#endif

int available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n > 0 ? static_cast<int>(n) : 1;
}

Pool &the_pool() {
#if !defined(_WIN32)
  if (pool != nullptr && pool_pid != getpid())
    pool = nullptr; // forked: the threads stayed behind, the object is leaked on purpose
  pool_pid = getpid();
#endif
  if (pool == nullptr)
    pool = new Pool(thread_count() - 1);
  return *pool;
}

} // namespace

int thread_count() { return wanted_threads > 0 ? wanted_threads : available_cores(); }

void set_thread_count(int count) {
  std::lock_guard<std::mutex> use(pool_use);
  if (count == wanted_threads)
    return;
#if !defined(_WIN32)
  if (pool != nullptr && pool_pid == getpid())
    delete pool;
#else
  delete pool;
#endif
  pool = nullptr;
  wanted_threads = count;
}

void parallel_for(int chunks, ChunkFn fn, void *context) {
  if (chunks <= 0)
    return;
  // A second caller (a viewer beside the trainer) does not wait for the pool but works alone: the
  // cores are busy anyway, and neither can starve the other.
  std::unique_lock<std::mutex> use(pool_use, std::defer_lock);
  if (chunks == 1 || thread_count() == 1 || !use.try_lock()) {
    for (int i = 0; i < chunks; ++i)
      fn(context, i, 0);
    return;
  }
  the_pool().run(chunks, fn, context);
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double thread_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec t;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
#endif
  return now_seconds();
}

} // namespace recon_cpu
