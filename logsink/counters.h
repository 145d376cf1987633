// What a sink tells of itself, as `ringlog inspect` does from outside.

#ifndef RINGLOG_LOGSINK_COUNTERS_H_
#define RINGLOG_LOGSINK_COUNTERS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/ring/drop_counts.h"

namespace ringlog {

// Of one process, since its ring was made, of both its rings if it has had to
// go to its fallback_directory; they are in the ring's header, and so survive
// it. Each is exact when it is read, but one may be read a moment after
// another. With OverflowPolicy::kOverwriteOldest there is no flusher, and its
// numbers are zero.
struct RingLogSinkCounters {
  // Records that are in segments, their lines, and what segments have of these.
  uint64_t written_records = 0;
  uint64_t text_bytes = 0;
  uint64_t compressed_bytes = 0;
  uint64_t segments = 0;  // begun

  // Records that did not enter the ring, or were overwritten, as
  // dropped[DropCause][Severity].
  DropCounts dropped = {};
  uint64_t dropped_records = 0;  // the sum
  uint64_t cut_records = 0;      // that lost their end, for they were too long

  // Writes, to any file, that did not succeed: they are tried again.
  uint64_t write_errors = 0;
  absl::StatusCode last_error = absl::StatusCode::kOk;

  // Files that are gone because of options.retention, and those that should be.
  uint64_t deleted_files = 0;
  uint64_t delete_errors = 0;

  // How old the oldest record of the last batch was when it had been written,
  // and when that was; InfinitePast() if there was none.
  absl::Duration lag;
  absl::Time last_write_time = absl::InfinitePast();

  // Slots that were given up because a thread did not finish its record in
  // time.
  uint64_t skipped_slots = 0;

  // The ring's slots, and those of them that are not free: a record takes one
  // or more of them until it is in a segment.
  uint64_t ring_slots = 0;
  uint64_t used_slots = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_COUNTERS_H_
