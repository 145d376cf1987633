// ForkSafeMutex
//
// A mutex with conditions, like absl::Mutex, for code that also runs in forked
// children. absl::Mutex uses locks and once-flags of the process. If
// another thread holds one of them during fork(), the child waits forever at
// its first use of any absl::Mutex. A ForkSafeMutex depends on nothing but
// itself, so a child can create and use one at any time.
//
// Does not guarantee that a child can use a mutex of its parent: a mutex that
// another thread holds during fork() stays locked in the child forever.

#ifndef RINGLOG_RING_OS_FORK_SAFE_MUTEX_H_
#define RINGLOG_RING_OS_FORK_SAFE_MUTEX_H_

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "ringlog/ring/os/monotonic_time.h"

namespace ringlog {

// Thread-safe.
class ABSL_LOCKABLE ForkSafeMutex {
 public:
  ForkSafeMutex() {
    pthread_mutex_init(&mutex_, nullptr);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed_, &attributes);
    pthread_condattr_destroy(&attributes);
  }
  // Destroys neither member. Neither owns a resource, and in a forked child
  // pthread_cond_destroy(3) would wait for threads that do not exist there.
  ~ForkSafeMutex() = default;
  ForkSafeMutex(const ForkSafeMutex&) = delete;
  ForkSafeMutex& operator=(const ForkSafeMutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { pthread_mutex_lock(&mutex_); }
  // Wakes all waiting threads, which check their conditions again.
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    pthread_mutex_unlock(&mutex_);
    pthread_cond_broadcast(&changed_);
  }

  // Waits until `condition()` is true or `timeout` has passed; unlocks the
  // mutex while it waits. A timeout longer than a year counts as a year. Calls
  // `condition` with the lock held, and returns its last result.
  // Requires: the caller holds the lock.
  template <typename Condition>
  bool AwaitWithTimeout(const Condition& condition,
                        absl::Duration timeout) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const timespec deadline =
        absl::ToTimespec(MonotonicTime() + std::min(timeout, kMaxWait));
    while (!condition()) {
      if (pthread_cond_timedwait(&changed_, &mutex_, &deadline) == ETIMEDOUT) {
        return condition();
      }
    }
    return true;
  }

 private:
  // Upper bound of a timeout, so that the deadline fits into a timespec.
  static constexpr absl::Duration kMaxWait = absl::Hours(24 * 365);

  pthread_mutex_t mutex_;
  pthread_cond_t changed_;
};

// Holds the lock of a mutex, which must outlive the object.
class ABSL_SCOPED_LOCKABLE ForkSafeMutexLock {
 public:
  explicit ForkSafeMutexLock(ForkSafeMutex* mutex)
      ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~ForkSafeMutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  ForkSafeMutexLock(const ForkSafeMutexLock&) = delete;
  ForkSafeMutexLock& operator=(const ForkSafeMutexLock&) = delete;

 private:
  ForkSafeMutex* const mutex_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FORK_SAFE_MUTEX_H_
