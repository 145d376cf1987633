// RecentFailures
//
// Times of failed attempts, by path, so that a failed operation is tried again
// only after ten minutes. Remembers at most 4096 paths.

#ifndef RINGLOG_RING_OS_RECENT_FAILURES_H_
#define RINGLOG_RING_OS_RECENT_FAILURES_H_

#include <cstddef>
#include <iterator>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {

// Thread-compatible. Times are monotonic.
class RecentFailures {
 public:
  // Returns true if the last failure was too recent for another attempt.
  bool IsRecent(const std::string& path, absl::Duration now) const {
    const auto failed = failed_at_.find(path);
    return failed != failed_at_.end() && now - failed->second < kRetryInterval;
  }

  // Returns true if this is the first failure since the last Remove(). Without
  // room for another path, returns false and does not remember it: the
  // operation is tried again at once, and is not reported.
  bool Add(const std::string& path, absl::Duration now) {
    const auto failed = failed_at_.find(path);
    if (failed != failed_at_.end()) {
      failed->second = now;
      return false;
    }
    if (failed_at_.size() >= kMaxPaths) return false;
    failed_at_.emplace(path, now);
    return true;
  }

  void Remove(const std::string& path) { failed_at_.erase(path); }

  // Forgets the files that no longer exist.
  void RemoveDeleted() {
    for (auto it = failed_at_.begin(); it != failed_at_.end();) {
      it = FileIsGone(it->first) ? failed_at_.erase(it) : std::next(it);
    }
  }

 private:
  static constexpr absl::Duration kRetryInterval = absl::Minutes(10);
  // Links and directories that others may write to can make any number.
  static constexpr size_t kMaxPaths = 4096;

  std::map<std::string, absl::Duration> failed_at_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_RECENT_FAILURES_H_
