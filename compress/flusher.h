// Flusher
//
// The one background thread: takes records from a ring, writes them into
// segments, publishes the persist cursor, frees the slots. Exactly in that
// order, so that a kill between any two steps neither loses a record nor leaves
// one twice (compress/FORMAT.md, "Exactly once"). It begins new segments, and
// deletes old ones.
//
// It never uses LOG and never ends the process. What goes wrong is counted in
// the ring's header, and told on stderr at most once a minute; the records stay
// in the ring meanwhile, and it tries again.

#ifndef RINGLOG_COMPRESS_FLUSHER_H_
#define RINGLOG_COMPRESS_FLUSHER_H_

#include <pthread.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "ringlog/compress/batch_builder.h"
#include "ringlog/compress/line_format.h"
#include "ringlog/compress/retention.h"
#include "ringlog/compress/retention_runner.h"
#include "ringlog/compress/ring_drain.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/rotation_requests.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_sequence.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"

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
  RetentionOptions retention;
  // Called with the path of each segment to which nothing more will be written,
  // in the thread of the flusher, without a lock. As long as it runs nothing is
  // written; an exception of it is told on stderr.
  std::function<void(const std::string& path)> on_segment_closed;
};

// Thread-safe. The ring must outlive it, and have no other consumer. In a
// forked child, which has no such thread, nothing of it does anything.
class Flusher {
 public:
  // Starts the thread, in which all signals are blocked.
  //   ResourceExhausted: the system has no thread to give
  static absl::StatusOr<std::unique_ptr<Flusher>> Start(
      Ring* ring, const FlusherOptions& options);

  // Stop().
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  // Returns when every record that was committed before the call is in a
  // segment, with `sync` on the disk, or when `timeout` has passed: true in the
  // first case. Any thread, any number at once.
  bool Flush(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns when every record that was committed before the call is in a
  // segment that has been closed. What is logged next begins another one. Any
  // thread, any number at once: those that wait together may share one.
  //   DeadlineExceeded:   `timeout` has passed; it will be done later
  //   FailedPrecondition: after Stop(), in a forked child, or from
  //                       on_segment_closed
  //   others:             those of writing: the segment is closed, but its end
  //                       could not be written
  absl::Status Rotate(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // Writes what the ring holds, seals the ring, closes the segment, ends the
  // thread. Does nothing the second time. If it is not OK the ring may hold
  // records still:
  //   Unavailable: more were being written all the time, for half a second
  //   others:      those of writing
  absl::Status Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Flusher(Ring* ring, const FlusherOptions& options);

  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsOwner() const;
  bool IsOwnThread() const;
  bool WaitForTurn() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Turn(bool flush) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Finish() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status TakeAll();
  bool IsDue(bool flush) const;

  absl::Status WriteBatch();
  absl::Status WriteToSegment();
  absl::Status WriteOrEndEarly();
  absl::Status SyncOrCutBack();
  absl::Status EndSegment();
  void LeaveSegment();
  template <typename Attempt>
  absl::Status Persist(Attempt attempt);
  bool MayRetry(int attempt) ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishAndRelease();

  absl::Status RotateIfWanted();
  void KeepToLimits();
  void UpdateCounters();
  absl::Status Reported(absl::Status status);

  Ring* const ring_;
  const FlusherOptions options_;

  RotationRequests rotations_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t flush_target_ ABSL_GUARDED_BY(mutex_) = 0;  // a position
  uint64_t tried_target_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last turn
  uint64_t persisted_ ABSL_GUARDED_BY(mutex_) = 0;     // positions below it are

  // The thread's own.
  BatchBuilder batch_;
  absl::Duration written_at_ = -absl::InfiniteDuration();  // monotonic
  int failed_batches_ = 0;                                 // in a row
  RingDrain drain_;
  SegmentSequence segments_;
  RetentionRunner retention_;
  absl::Duration last_complaint_ = -absl::InfiniteDuration();  // monotonic
  absl::Status result_;

  const pid_t owner_;
  std::optional<pthread_t> thread_;
  absl::once_flag stop_once_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_H_
