// FailingCalls
//
// Replaces the system calls that write to segments or set their mode, in the
// whole program, so that a test can let them fail for one file only.

#ifndef RINGLOG_TESTING_HARNESS_FAILING_CALLS_H_
#define RINGLOG_TESTING_HARNESS_FAILING_CALLS_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace ringlog {

// Decides which calls fail. Thread-safe.
class FailingCalls {
 public:
  // Result of AtCall: the call does half of its work.
  static constexpr int kHalf = -1;
  // Decides about one call. `call` is its name, for example "pwrite" or
  // "fsync"; `inode` is the inode of the file, 0 for "unlink". Returns the
  // errno of the failure, 0 to let the call succeed, or kHalf.
  using AtCall = std::function<int(const std::string& call, ino_t inode)>;

  // Returns the only instance of the program.
  static FailingCalls& Get();

  // Sets the decision function. With a null function, every call succeeds.
  void Set(AtCall at_call) ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns true and sets errno if the call must fail.
  bool Fails(const std::string& call, int fd) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether the last call passed to Fails() must do half of its work.
  bool is_half() const { return is_half_; }

 private:
  std::atomic<bool> is_half_{false};
  absl::Mutex mutex_;
  AtCall at_call_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_FAILING_CALLS_H_
