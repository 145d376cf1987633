// ForkGeneration
//
// Tells a forked child from its parent, for the price of a load.

#ifndef RINGLOG_RING_OS_FORK_GENERATION_H_
#define RINGLOG_RING_OS_FORK_GENERATION_H_

#include <atomic>
#include <cstdint>

namespace ringlog {

// Thread-safe.
class ForkGeneration {
 public:
  // A number that stays the same while a process lives, and is another in its
  // forked children: what was noted with an earlier number is the parent's.
  //
  // Unlike getpid() it makes no system call, and tells a child from its parent
  // where each is process 1 of its own pid namespace. It counts fork(2);
  // vfork() and posix_spawn(), whose children run in the memory of their parent
  // until they exec, do not change it, nor does a bare clone(2).
  //
  // Context: anywhere, signal handlers too.
  static uint32_t Now() { return now_.load(std::memory_order_relaxed); }

 private:
  static void Advance();
  static bool Register();

  static std::atomic<uint32_t> now_;
  static const bool is_registered_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FORK_GENERATION_H_
