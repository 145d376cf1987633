// FailingCalls
//
// Takes over the calls that write to segments, in the whole program, so that a
// test can let them fail for one file and not for another.

#ifndef RINGLOG_TESTING_HARNESS_FAILING_CALLS_H_
#define RINGLOG_TESTING_HARNESS_FAILING_CALLS_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace ringlog {

// Thread-safe.
class FailingCalls {
 public:
  // The call does half of its work.
  static constexpr int kHalf = -1;
  // Is told the call, "pwrite", "fsync" and so on, and the file's inode (of
  // "unlink" 0); returns the errno with which it fails, 0: none, or kHalf.
  using AtCall = std::function<int(const std::string& call, ino_t inode)>;

  // The program's.
  static FailingCalls& Get();

  // Null: none fails.
  void Set(AtCall at_call) ABSL_LOCKS_EXCLUDED(mutex_);

  bool Fails(const std::string& call, int fd) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of the last call that Fails() was asked of.
  bool is_half() const { return is_half_; }

 private:
  std::atomic<bool> is_half_{false};
  absl::Mutex mutex_;
  AtCall at_call_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_FAILING_CALLS_H_
