#include "ringlog/testing/harness/failing_allocations.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "absl/base/config.h"

namespace ringlog {
namespace {

std::atomic<int64_t> g_left{kNoFailure};

bool MustFail() {
  if (g_left.load() == kNoFailure || syscall(SYS_gettid) == getpid()) {
    return false;
  }
  int64_t left = g_left.load();
  while (left > 0 && !g_left.compare_exchange_weak(left, left - 1)) {
  }
  return left == 0;
}

// malloc(0) may return null without a failure.
void* AllocateOrNull(size_t size) {
  return MustFail() ? nullptr : malloc(size == 0 ? 1 : size);
}

void* Allocate(size_t size) {
  if (void* const memory = AllocateOrNull(size)) return memory;
#ifdef ABSL_HAVE_EXCEPTIONS
  throw std::bad_alloc();
#else
  abort();
#endif
}

}  // namespace

void FailAllocationsAfter(int64_t count) { g_left = count; }

}  // namespace ringlog

void* operator new(size_t size) { return ringlog::Allocate(size); }
// The operator new of a sanitizer would not match the operator delete below.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return ringlog::AllocateOrNull(size);
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
