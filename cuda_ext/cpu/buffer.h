// Scratch memory that only grows, aligned for vectors; in huge pages where it is large, since
// splats, tile entries and sums are reached in an order that walks through all of it. No STL in
// kernel files: its weak symbols would be merged across instruction sets.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "recon/math/scalar.h"

RECON_BEGIN

template <class T> class Buffer {
public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { std::free(data_); }

  // Room for n elements. The content is kept only with keep = true.
  void reserve(int64_t n, bool keep = false) {
    if (n <= capacity_)
      return;
    int64_t wanted = capacity_ + capacity_ / 2;
    wanted = wanted > n ? wanted : n;
    const size_t size = static_cast<size_t>(wanted) * sizeof(T);
    const size_t alignment = size < kHugePage ? 64 : kHugePage;
    const size_t bytes = (size + alignment - 1) / alignment * alignment;
    void *fresh = std::aligned_alloc(alignment, bytes);
    if (fresh == nullptr) {
      std::fprintf(stderr, "recon: out of memory (%zu bytes of scratch)\n", bytes);
      std::abort();
    }
#if defined(MADV_HUGEPAGE)
    if (alignment == kHugePage)
      madvise(fresh, bytes, MADV_HUGEPAGE); // advice: whether it is taken changes speed alone
#endif
    if (keep && data_ != nullptr)
      std::memcpy(fresh, data_, static_cast<size_t>(capacity_) * sizeof(T));
    std::free(data_);
#if defined(RECON_POISON)
    // Tests: whatever reads memory that was never written shows up as NaN.
    char *begin = static_cast<char *>(fresh) + (keep ? capacity_ * sizeof(T) : 0);
    std::memset(begin, 0xff, bytes - static_cast<size_t>(begin - static_cast<char *>(fresh)));
#endif
    data_ = static_cast<T *>(fresh);
    capacity_ = wanted;
  }

  void clear(int64_t n) { std::memset(data_, 0, static_cast<size_t>(n) * sizeof(T)); }

  T *data() { return data_; }
  const T *data() const { return data_; }
  T &operator[](int64_t i) { return data_[i]; }
  const T &operator[](int64_t i) const { return data_[i]; }

private:
  static constexpr size_t kHugePage = 2 << 20;

  T *data_ = nullptr;
  int64_t capacity_ = 0;
};

RECON_END
