// Counters in memory that crash_demo shares with its victim, so that they
// survive the victim's death independently of ringlog.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_COUNTERS_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"

namespace ringlog {

inline constexpr int kMaxVictimThreads = 64;

// The content of the shared memory, initially zero.
struct CrashCounters {
  // The counter of a thread, on a cache line of its own to avoid false sharing.
  struct alignas(64) Thread {
    // Number of the last record whose LOG() has returned. The first record has
    // number 1.
    std::atomic<uint64_t> acknowledged;
  };
  Thread threads[kMaxVictimThreads];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free,
              "a counter with a lock would not work between processes");

// Owns a mapping of the shared memory and its file descriptor.
//
// Thread-compatible. The counters themselves are thread-safe.
class SharedCrashCounters {
 public:
  // Creates shared memory. Executed programs inherit its descriptor. Errors are
  // those of memfd_create(2), ftruncate(2) and mmap(2).
  static absl::StatusOr<SharedCrashCounters> Create();
  // Maps the shared memory that Create() made in another process, and takes
  // ownership of its descriptor `fd`. Errors are those of mmap(2).
  static absl::StatusOr<SharedCrashCounters> Open(int fd);

  SharedCrashCounters(SharedCrashCounters&& other) noexcept;
  SharedCrashCounters& operator=(SharedCrashCounters&&) = delete;
  ~SharedCrashCounters();

  int fd() const { return fd_; }
  CrashCounters* operator->() const { return counters_; }
  // Returns the sum of the counters of all threads.
  uint64_t total_acknowledged() const;

 private:
  SharedCrashCounters(int fd, CrashCounters* counters)
      : fd_(fd), counters_(counters) {}

  int fd_;
  CrashCounters* counters_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_COUNTERS_H_
