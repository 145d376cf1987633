// ForkGeneration
//
// Distinguishes a forked child from its parent at the cost of one load.

#ifndef RINGLOG_RING_OS_FORK_GENERATION_H_
#define RINGLOG_RING_OS_FORK_GENERATION_H_

#include <atomic>
#include <cstdint>

namespace ringlog {

// Thread-safe.
class ForkGeneration {
 public:
  // Returns a number that is constant during a process's lifetime and differs
  // in forked children. If an object stores the number at its creation, and
  // Now() returns another one later, then the calling process is a forked child
  // of the process that created the object.
  //
  // In contrast to getpid(), makes no system call, and distinguishes a child
  // from its parent even if each is process 1 of its own pid namespace. Counts
  // fork(2) only. vfork() and posix_spawn(), whose children use their parent's
  // memory until they exec, and a bare clone(2) do not change the number.
  //
  // Context: any thread; signal handlers too.
  static uint32_t Now() { return now_.load(std::memory_order_relaxed); }

 private:
  static void Advance();
  static bool Register();

  static std::atomic<uint32_t> now_;
  static const bool is_registered_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FORK_GENERATION_H_
