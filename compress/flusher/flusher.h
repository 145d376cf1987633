// Flusher
//
// The one background thread: takes records from a ring, writes them into
// segments, publishes the persist cursor, frees the slots. Exactly in that
// order, so that a kill between any two steps neither loses a record nor leaves
// one twice (compress/FORMAT.md, "Exactly once"). It begins new segments,
// deletes old ones, and has recovered what processes that died have left.
//
// It never uses LOG and never ends the process. What goes wrong is counted in
// the ring's header, and told on stderr at most once a minute; the records stay
// in the ring meanwhile, and it tries again.

#ifndef RINGLOG_COMPRESS_FLUSHER_FLUSHER_H_
#define RINGLOG_COMPRESS_FLUSHER_FLUSHER_H_

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/ring_drain.h"
#include "ringlog/compress/flusher/rolling_segment_writer.h"
#include "ringlog/compress/flusher/rotation_requests.h"
#include "ringlog/compress/line/recent_lines.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

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
  // segment, with `sync` on the disk, or when `timeout` has passed, or Stop()
  // has: true in the first case. Any thread, any number at once.
  bool Flush(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(monitor_);

  // Goes by other options from the next turn on, which comes within 5 ms unless
  // it is being written; of segments, from the next one on, which begins at
  // once if `sync` changes. Any thread. Requires: the same directory and
  // format.
  void Reconfigure(const FlusherOptions& options) ABSL_LOCKS_EXCLUDED(monitor_);

  // The last `count` records that have been taken from the ring, and gaps, as
  // their lines; at most recent_records. Any thread.
  std::vector<std::string> Recent(size_t count) const;

  // Returns when every record that was committed before the call is in a
  // segment that has been closed. What is logged next begins another one. Any
  // thread, any number at once: those that wait together may share one.
  //   DeadlineExceeded:   `timeout` has passed; it will be done later
  //   FailedPrecondition: after Stop(), in a forked child, or from
  //                       on_segment_closed
  //   others:             those of writing: the segment is closed, but its end
  //                       could not be written
  absl::Status Rotate(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(monitor_);

  // See FlusherOptions::limits_wait. Any thread.
  void StartLimits() { keeps_to_limits_.store(true); }

  // Writes what the ring holds, seals the ring, closes the segment, ends the
  // thread. Does nothing the second time. If it is not OK the ring may hold
  // records still; nobody waits for room in it. Without a file it is told on
  // stderr how many are lost:
  //   Unavailable: more were being written all the time, for half a second
  //   others:      those of writing
  absl::Status Stop() ABSL_LOCKS_EXCLUDED(monitor_);

  // Whether it is the thread of this flusher that calls, as in
  // on_segment_closed.
  bool IsOwnThread() const;

 private:
  Flusher(Ring* ring, const FlusherOptions& options);

  void Run() ABSL_LOCKS_EXCLUDED(monitor_);
  // A forked child's monitor may be held by a thread that it does not have.
  bool IsOwner() const { return ForkGeneration::Now() == fork_generation_; }
  bool WaitForTurn() ABSL_LOCKS_EXCLUDED(monitor_);
  absl::Status Turn(bool flush) ABSL_LOCKS_EXCLUDED(monitor_);
  absl::Status Finish() ABSL_LOCKS_EXCLUDED(monitor_);
  void Adopt(const FlusherOptions& options);
  absl::Status TakeAll();
  bool IsDue(bool flush) const;

  absl::Status WriteBatch();
  absl::Status WriteToSegment();
  absl::Status WriteOrSealEarly();
  absl::Status SyncOrAbandon();
  absl::Status EndSegment();
  absl::Status WriteEnd();
  void CloseSegment(const absl::Status& cause);
  void TellOfLeft();
  template <typename Attempt>
  absl::Status Persist(Attempt attempt);
  bool MayRetry(int attempt) ABSL_LOCKS_EXCLUDED(monitor_);
  void PublishAndRelease();

  absl::Status RotateIfWanted();
  void RunHousekeeping();
  void LookForRing();
  void LookForReasons(const absl::Status& status);
  void TellWhatIsLost();
  void UpdateCounters();
  absl::Status Reported(absl::Status status);

  Ring* const ring_;

  RotationRequests rotations_;
  ForkSafeMutex monitor_;
  std::optional<FlusherOptions> next_options_ ABSL_GUARDED_BY(monitor_);
  bool stopping_ ABSL_GUARDED_BY(monitor_) = false;
  uint64_t flush_target_ ABSL_GUARDED_BY(monitor_) = 0;  // a position
  uint64_t tried_target_ ABSL_GUARDED_BY(monitor_) = 0;  // of the last turn
  uint64_t persisted_ ABSL_GUARDED_BY(monitor_) = 0;  // positions below it are
  bool has_ended_ ABSL_GUARDED_BY(monitor_) = false;  // the thread

  const std::unique_ptr<RecentLines> recent_;  // null if none are kept
  std::atomic<bool> keeps_to_limits_;

  // The thread's own.
  FlusherOptions options_;
  BatchBuilder batch_;
  absl::Duration written_at_ = -absl::InfiniteDuration();  // monotonic
  int failed_batches_ = 0;                                 // in a row
  bool has_more_ = false;  // the ring, at the end of the last turn
  // Whether the last error closed a segment that needs no recovery, so that
  // another segment may be begun.
  bool may_restart_ = false;
  bool is_ending_ = false;  // there is no turn after this one
  // Of the last segment that was closed: recovery can still give it its end.
  absl::Status end_status_;
  RingDrain drain_;
  RollingSegmentWriter segments_;
  RetentionRunner retention_;
  BackgroundRecovery leftovers_;
  bool has_kept_to_limits_ = false;
  absl::Duration looked_for_ring_at_ = -absl::InfiniteDuration();  // monotonic
  bool ring_is_lost_ = false;
  absl::Status result_;

  const uint32_t fork_generation_;
  std::optional<pthread_t> thread_;
  absl::once_flag stop_once_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_FLUSHER_H_
