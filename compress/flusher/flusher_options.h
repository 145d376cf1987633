// Options of a flusher.

#ifndef RINGLOG_COMPRESS_FLUSHER_FLUSHER_OPTIONS_H_
#define RINGLOG_COMPRESS_FLUSHER_FLUSHER_OPTIONS_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/compress/flusher/rolling_segment_writer.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/record.h"

namespace ringlog {

struct FlusherOptions {
  // Directory of the segments; created if it does not exist and its parent
  // does.
  std::string directory;
  LineFormat format = LineFormat::kText;
  // Longest time that a record waits for its batch to be written.
  absl::Duration flush_interval = absl::Milliseconds(200);
  // Size of the text of a batch that is written at once.
  size_t batch_bytes = 64 << 10;
  // If true, a slot is released only after its record is on the disk.
  // fdatasync(2) is called once for each frame:
  //   - at most sync_interval after a record; flush_interval is ignored;
  //   - at once for a record of severity sync_severity or above. If that is
  //     kSeverityCount, no record causes a sync.
  bool sync = false;
  absl::Duration sync_interval = absl::Seconds(1);
  int sync_severity = static_cast<int>(Severity::kError);
  // Time after which the slots of a stuck writer are skipped.
  absl::Duration stuck_writer_timeout = absl::Seconds(1);
  SegmentWriterOptions segment;
  RotationOptions rotation;
  // Number of records that Recent() can return. Cannot change.
  size_t recent_records = 0;
  RetentionOptions retention;
  // Called with the path of each closed segment, in the flusher's thread,
  // without a lock. Nothing is written until it returns. If it throws, the
  // exception is reported on stderr.
  std::function<void(const std::string& path)> on_segment_closed;
  // Called in the flusher's thread, without a lock:
  //   - with each error of writing. The flusher does not report that error on
  //     stderr, and tries again.
  //   - with OK when a batch is in its segment and its slots are free, or when
  //     there was nothing to write.
  // It must not throw. If empty, errors are reported on stderr.
  std::function<void(const absl::Status& status)> on_write;
  // Called in the flusher's thread, without a lock, when the ring is lost
  // (Ring::is_lost()). Must create another ring, make new records go there, and
  // return the path of that ring. After an error the flusher calls it again,
  // after a second and then at intervals that double up to a minute. After
  // success the flusher writes the records that are left in its ring, seals the
  // ring, closes the segment, deletes the ring's file and ends its thread. It
  // must not throw. If empty, the flusher goes on with the lost ring.
  std::function<absl::StatusOr<std::string>()> on_ring_lost;
};

// End of the message about an error after which records wait in the ring.
inline constexpr absl::string_view kRecordsStay =
    "; the records stay in the ring, and are tried again";

// Returns the options of the segments.
SegmentSequenceOptions SequenceOptions(const FlusherOptions& options);

// Calls on_segment_closed, if there is one. Reports an exception on stderr,
// because application code must not end the thread.
void CallOnSegmentClosed(const FlusherOptions& options,
                         const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_FLUSHER_OPTIONS_H_
