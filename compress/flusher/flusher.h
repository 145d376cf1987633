// Flusher
//
// The background thread of one ring. An iteration of the thread:
//
//   1. takes records from the ring and compresses them into a batch,
//   2. writes the batch to a segment,
//   3. publishes the persist cursor,
//   4. releases the slots.
//
// This order makes records exactly-once: a kill between two steps neither loses
// a record nor duplicates one (compress/FORMAT.md, "Exactly once"). The thread
// also begins and closes segments, and starts the runs of retention and the
// rounds of recovery at their time. If the path of the ring does not lead to it
// any more, it hands over to another ring (FlusherOptions::on_ring_lost).
//
// The flusher never uses LOG and never ends the process. It counts errors in
// the ring's header and reports them on stderr, at most one line a minute. The
// records stay in the ring, and the flusher tries again.

#ifndef RINGLOG_COMPRESS_FLUSHER_FLUSHER_H_
#define RINGLOG_COMPRESS_FLUSHER_FLUSHER_H_

#include <pthread.h>

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
#include "ringlog/compress/retention/background_retention.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Thread-safe. In a forked child, which does not have the thread, all methods
// return at once and have no effect.
class Flusher {
 public:
  // Starts the thread, in which all signals except fault signals are blocked.
  // The ring must have no other flusher. If `recovery` is not null, the
  // flusher starts its rounds when they are due, and retention waits for them
  // (BackgroundRetention). The ring and `recovery` must outlive the flusher.
  //
  //   ResourceExhausted: the system has no thread to give
  static absl::StatusOr<std::unique_ptr<Flusher>> Start(
      Ring* ring, const FlusherOptions& options,
      BackgroundRecovery* recovery = nullptr);

  // Calls Stop().
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  // Waits until every record that was committed before the call is in a
  // segment, and with `sync` on the disk. Returns false if `timeout` passes or
  // Stop() ends the thread first.
  //
  // Context: any thread, any number at once.
  bool Flush(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(monitor_);

  // Uses `options` from the next iteration on, which begins within 5 ms unless
  // a write is in progress. Options of segments apply to the next segment,
  // which begins at once if `sync` changes.
  //
  // Requires: the same directory and format.
  // Context: any thread.
  void Reconfigure(const FlusherOptions& options) ABSL_LOCKS_EXCLUDED(monitor_);

  // Returns the lines of the last `count` records and gaps that were taken from
  // the ring; at most recent_records.
  //
  // Context: any thread.
  std::vector<std::string> Recent(size_t count) const;

  // Waits until every record that was committed before the call is in a closed
  // segment. The next record begins a new segment. Simultaneous calls may share
  // a rotation.
  //
  //   DeadlineExceeded:   `timeout` has passed; the rotation is done later
  //   FailedPrecondition: the caller is a forked child or on_segment_closed, or
  //                       Stop() was called
  //   others:             those of writing: the segment is closed, but its end
  //                       could not be written
  //
  // Context: any thread, any number at once.
  absl::Status Rotate(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(monitor_);

  // Writes all records, seals the ring, closes the segment and ends the thread.
  // Later calls return the same status and have no other effect. After an error
  // the ring may still hold records, and no writer waits for room in the ring.
  // If such a ring has no file, reports the number of lost records on stderr.
  //
  //   Unavailable: other threads wrote records all the time, for half a second
  //   others:      those of writing
  absl::Status Stop() ABSL_LOCKS_EXCLUDED(monitor_);

  // Returns true in this flusher's thread, which calls on_segment_closed.
  bool IsOwnThread() const;

 private:
  Flusher(Ring* ring, const FlusherOptions& options,
          BackgroundRecovery* recovery);

  // Returns false in a forked child, where a thread that does not exist may
  // hold monitor_.
  bool IsOwner() const { return ForkGeneration::Now() == fork_generation_; }

  // The thread.
  void Run() ABSL_LOCKS_EXCLUDED(monitor_);
  // Waits until an iteration is due; returns true if it is the last one.
  bool AwaitIteration() ABSL_LOCKS_EXCLUDED(monitor_);
  absl::Status Iterate(bool flush) ABSL_LOCKS_EXCLUDED(monitor_);
  absl::Status Finish() ABSL_LOCKS_EXCLUDED(monitor_);
  void DiscardRing();
  void Adopt(const FlusherOptions& options);
  absl::Status TakeAll();
  bool IsDue(bool flush) const;

  // Writing of a batch: flusher_write.cc.
  absl::Status WriteBatch();
  absl::Status WriteToSegment();
  absl::Status WriteOrSealEarly();
  absl::Status SyncOrAbandon();
  absl::Status CloseSegment();
  absl::Status WriteEnd();
  void CloseFile(const absl::Status& cause);
  void ReportClosedSegments();
  template <typename Attempt>
  absl::Status Persist(Attempt attempt);
  bool MayRetry(int attempt) ABSL_LOCKS_EXCLUDED(monitor_);
  void PublishAndRelease();
  absl::Status RotateIfWanted();
  absl::Status Reported(absl::Status status);
  void UpdateCounters();

  // Work besides writing.
  void RunHousekeeping();
  void PrepareRetry(const absl::Status& status);
  void CheckRingFile(bool at_once = false);
  void ReplaceRing();
  void ReportLostRecords();
  void UpdateRetentionCounters();

  Ring* const ring_;
  BackgroundRecovery* const recovery_;  // may be null

  RotationRequests rotations_;
  ForkSafeMutex monitor_;
  std::optional<FlusherOptions> next_options_ ABSL_GUARDED_BY(monitor_);
  bool stopping_ ABSL_GUARDED_BY(monitor_) = false;
  // Highest position that a Flush() waits for.
  uint64_t flush_target_ ABSL_GUARDED_BY(monitor_) = 0;
  // flush_target_ at the start of the last iteration.
  uint64_t tried_target_ ABSL_GUARDED_BY(monitor_) = 0;
  // End of the positions that are persisted.
  uint64_t persisted_ ABSL_GUARDED_BY(monitor_) = 0;
  bool has_ended_ ABSL_GUARDED_BY(monitor_) = false;  // the thread

  const std::unique_ptr<RecentLines> recent_;  // null if none are kept

  // The members down to result_ belong to the thread.
  FlusherOptions options_;
  BatchBuilder batch_;
  // Monotonic time of the last write.
  absl::Duration written_at_ = -absl::InfiniteDuration();
  int failed_batches_ = 0;  // in a row
  // Whether the ring had more records at the end of the last iteration.
  bool has_more_ = false;
  // Whether the last error closed a segment that needs no recovery, so that
  // another segment may be begun.
  bool may_restart_ = false;
  bool is_ending_ = false;  // during the last iterations
  // Error of ending the last closed segment; recovery can still end it.
  absl::Status end_status_;
  RingDrain drain_;
  RollingSegmentWriter segments_;
  BackgroundRetention retention_;
  // Monotonic time of the last check whether the ring is lost.
  absl::Duration ring_checked_at_ = -absl::InfiniteDuration();
  bool ring_is_lost_ = false;
  // Time between two calls of on_ring_lost.
  absl::Duration replace_interval_ = absl::Seconds(1);

  absl::Status result_;  // of Stop(); set before the thread ends
  const uint32_t fork_generation_;
  std::optional<pthread_t> thread_;
  absl::once_flag stop_once_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_FLUSHER_H_
