// RingLogSinkCounters: the counters of a sink. `ringlog inspect` prints the
// same counters.

#ifndef RINGLOG_LOGSINK_COUNTERS_H_
#define RINGLOG_LOGSINK_COUNTERS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/ring/drop_counts.h"  // IWYU pragma: export

namespace ringlog {

// Counters of one process since its ring was created; with a
// fallback_directory, the sum of both rings. The counters are in the ring's
// file, and so survive the process. Each number is exact, but the numbers are
// read one after the other, while other threads count. With
// OverflowPolicy::kOverwriteOldest there is no flusher, and the counters of the
// flusher are zero.
struct RingLogSinkCounters {
  // Counted by the flusher.
  uint64_t written_records = 0;   // records in segments
  uint64_t text_bytes = 0;        // bytes of their lines
  uint64_t compressed_bytes = 0;  // bytes of segments, compressed
  uint64_t segments = 0;          // segments begun

  // Records that did not enter the ring, or were overwritten there.
  DropCounts dropped = {};
  uint64_t dropped_records = 0;  // sum of `dropped`
  uint64_t cut_records = 0;      // records that were too long, and truncated

  // Failed writes to any file, which the flusher retries, and the status code
  // of the last failure.
  uint64_t write_errors = 0;
  absl::StatusCode last_error = absl::StatusCode::kOk;

  // Files that retention has deleted; its errors of listing directories,
  // reading the free space and deleting files.
  uint64_t deleted_files = 0;
  uint64_t delete_errors = 0;

  // Age of the oldest record of the last batch when the batch was written, and
  // the time of that write; InfinitePast() if nothing has been written.
  absl::Duration lag;
  absl::Time last_write_time = absl::InfinitePast();

  // Slots that were skipped because their writer did not commit in time.
  uint64_t skipped_slots = 0;

  // Slots of the ring, and slots that are not free. A record holds one or more
  // slots until it is in a segment.
  uint64_t ring_slots = 0;
  uint64_t used_slots = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_COUNTERS_H_
