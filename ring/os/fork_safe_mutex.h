// ForkSafeMutex
//
// A mutex whose holder can wait for a condition, as of an absl::Mutex, for what
// also runs in forked children. absl::Mutex has locks and once-flags of the
// whole process behind it: a child that is forked while another thread has one
// of them waits for ever at its first absl::Mutex, a new one too. This has
// nothing but itself.

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
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed_, &attributes);
    pthread_condattr_destroy(&attributes);
  }
  // Neither of the two holds anything, and in a forked child to destroy the
  // condition would be to wait for threads that it does not have.
  ~ForkSafeMutex() = default;
  ForkSafeMutex(const ForkSafeMutex&) = delete;
  ForkSafeMutex& operator=(const ForkSafeMutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { pthread_mutex_lock(&mutex_); }
  // Those who wait look at their conditions again.
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    pthread_mutex_unlock(&mutex_);
    pthread_cond_broadcast(&changed_);
  }

  // Lets go of the lock until `condition()`, which is called with it, or until
  // `timeout` has passed; returns what it was last. Requires: the caller has
  // locked it.
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
  // What has no end has one that a clock can show.
  static constexpr absl::Duration kMaxWait = absl::Hours(24 * 365);

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_;
};

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
