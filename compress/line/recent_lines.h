// The most recent records of a log, in memory, for a status page or an error
// report.

#ifndef RINGLOG_COMPRESS_LINE_RECENT_LINES_H_
#define RINGLOG_COMPRESS_LINE_RECENT_LINES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/circular_buffer.h"
#include "ringlog/ring/os/fork_safe_mutex.h"

namespace ringlog {

// Keeps the lines of the most recent records and gaps, because a record that
// the flusher has moved into a segment is no longer in the ring.
//
// Thread-safe. A forked child must not use its copy, because another thread of
// the parent may have held the lock during the fork.
class RecentLines {
 public:
  // Creates an empty object that keeps up to `count` records. Requires: count >
  // 0.
  explicit RecentLines(size_t count) : records_(count) {}

  // Adds a record or gap as LineFormatter writes it. If there are `count`
  // records already, deletes the oldest one.
  void Add(absl::string_view lines) ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns the `count` most recent records, or all records if there are fewer,
  // with the oldest one first.
  std::vector<std::string> Last(size_t count) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable ForkSafeMutex mutex_;
  CircularBuffer<std::string> records_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_RECENT_LINES_H_
