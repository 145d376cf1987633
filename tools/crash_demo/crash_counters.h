// Counters in memory that crash_demo shares with its victim: what the victim
// knows of its records outlives it, and no part of ringlog has a hand in it.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_COUNTERS_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"

namespace ringlog {

inline constexpr int kMaxVictimThreads = 64;

// Zeros at first.
struct CrashCounters {
  // Each on its own cache line, so that counting slows nobody down.
  struct alignas(64) Thread {
    // Records whose LOG() has returned: those numbered 1 to this.
    std::atomic<uint64_t> acknowledged;
  };
  Thread threads[kMaxVictimThreads];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free,
              "another process reads it");

// A mapping of the shared memory behind `fd`.
//
// Thread-compatible.
class SharedCrashCounters {
 public:
  // `fd` is inherited by programs that are executed.
  static absl::StatusOr<SharedCrashCounters> Create();
  // Takes over `fd`, which is of a Create() in another process.
  static absl::StatusOr<SharedCrashCounters> Open(int fd);

  SharedCrashCounters(SharedCrashCounters&& other) noexcept;
  SharedCrashCounters& operator=(SharedCrashCounters&&) = delete;
  ~SharedCrashCounters();

  int fd() const { return fd_; }
  CrashCounters* operator->() const { return counters_; }
  uint64_t total_acknowledged() const;

 private:
  SharedCrashCounters(int fd, CrashCounters* counters)
      : fd_(fd), counters_(counters) {}

  int fd_;
  CrashCounters* counters_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_COUNTERS_H_
