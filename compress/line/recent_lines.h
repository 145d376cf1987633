// RecentLines
//
// The last records of a log as their lines, in memory: for a status page, or a
// report of an error. What a flusher has moved into segments is in no ring any
// more, so it is kept here too.
//
// Thread-safe.

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

class RecentLines {
 public:
  // Keeps `count` records. Requires: count > 0.
  explicit RecentLines(size_t count) : records_(count) {}

  // A record, or a gap, as LineFormatter writes it. The oldest one goes if
  // there are `count`.
  void Add(absl::string_view lines) ABSL_LOCKS_EXCLUDED(monitor_);

  // The last `count`, or as many as there are, the oldest first.
  std::vector<std::string> Last(size_t count) const
      ABSL_LOCKS_EXCLUDED(monitor_);

 private:
  mutable ForkSafeMutex monitor_;
  CircularBuffer<std::string> records_ ABSL_GUARDED_BY(monitor_);
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_RECENT_LINES_H_
