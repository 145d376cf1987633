// What a flusher is asked to do.

#ifndef RINGLOG_COMPRESS_FLUSHER_FLUSHER_OPTIONS_H_
#define RINGLOG_COMPRESS_FLUSHER_FLUSHER_OPTIONS_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/compress/flusher/rolling_segment_writer.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/record.h"

namespace ringlog {

struct FlusherOptions {
  // Of the segments; made when it is missing and its parent is not.
  std::string directory;
  LineFormat format = LineFormat::kText;
  // A record waits no longer than this for its batch to be written.
  absl::Duration flush_interval = absl::Milliseconds(200);
  // Of text; a batch of this size is written at once.
  size_t batch_bytes = 64 << 10;
  // A slot is freed only when its record is on the disk, by fdatasync(2), which
  // is called for a frame at a time. A record waits for it no longer than
  // sync_interval, which takes the place of flush_interval, and one of severity
  // sync_severity or above, not at all; kSeverityCount: none is.
  bool sync = false;
  absl::Duration sync_interval = absl::Seconds(1);
  int sync_severity = static_cast<int>(Severity::kError);
  // A writer that holds others up for longer than this is gone past.
  absl::Duration stuck_writer_timeout = absl::Seconds(1);
  SegmentWriterOptions segment;
  RotationOptions rotation;
  // How many records Recent() knows; cannot change.
  size_t recent_records = 0;
  RetentionOptions retention;
  // Until Flusher::StartLimits(), for somebody recovers what processes that
  // died have left, which counts, and takes less room then.
  bool limits_wait = false;
  // How often to look for what processes that died have left
  // (BackgroundRecovery): for the first time at once, with limits_wait so long
  // after StartLimits(). Infinite: never. Cannot change.
  absl::Duration leftover_interval = absl::Minutes(1);
  // Called with the path of each segment to which nothing more will be written,
  // in the thread of the flusher, without a lock. As long as it runs nothing is
  // written; an exception of it is told on stderr.
  std::function<void(const std::string& path)> on_segment_closed;
  // Called in the thread of the flusher, without a lock: with each error of
  // writing, which is then told to nobody else and is followed by another
  // attempt; and with OK when a batch is in its segment and its slots are free,
  // or none had to be written. It must not throw. Empty: errors go to stderr.
  std::function<void(const absl::Status& status)> on_write;
};

// What stderr is told behind an error that left records where they are.
inline constexpr absl::string_view kRecordsStay =
    "; the records stay in the ring, and are tried again";

// Of its segments.
SegmentSequenceOptions SequenceOptions(const FlusherOptions& options);

// Calls on_segment_closed, if there is one. What an application's code does is
// no reason for the thread to end: an exception is told on stderr.
void TellSegmentClosed(const FlusherOptions& options, const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_FLUSHER_OPTIONS_H_
