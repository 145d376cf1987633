// RotationRequests
//
// Why a segment shall end before it is full: the time of day, a call, another
// process. Who asks, and the flusher, which answers all of them by one
// rotation.
//
// Ask() and Await(): any thread. The rest: the flusher's.

#ifndef RINGLOG_COMPRESS_FLUSHER_ROTATION_REQUESTS_H_
#define RINGLOG_COMPRESS_FLUSHER_ROTATION_REQUESTS_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/compress/flusher/rotation_schedule.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

class RotationRequests {
 public:
  // From here on other processes can see that the ring's flusher answers.
  // `ring` must outlive it.
  RotationRequests(Ring* ring, const RotationOptions& options);

  // The flusher's, at `now`. Where the schedule is the same, it goes on.
  void Reconfigure(const RotationOptions& options, absl::Time now);

  // The number of the request, from 1; 0 after Close().
  uint64_t Ask() ABSL_LOCKS_EXCLUDED(monitor_);
  // Waits until it has been answered; returns with what.
  //   DeadlineExceeded: `timeout` has passed
  absl::Status Await(uint64_t number, absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(monitor_);

  // Whether somebody has asked since the last Look().
  bool has_news() const { return asked_.load() != seen_.load(); }
  // Takes note of who asks, at `now`. Everything that has been committed up to
  // now belongs into the segment that is to end.
  void Look(absl::Time now, bool segment_is_open);
  // Whether anybody has asked and not been answered.
  bool is_pending() const { return has_passed_boundary_ || IsAsked(); }
  // Whether the segment may end, when all below `persisted` is in segments.
  bool IsReady(uint64_t persisted) const {
    return has_passed_boundary_ || (IsAsked() && persisted >= target_);
  }
  // A segment has ended, for whatever reason: the day is not over once more.
  void SegmentEnded() { has_passed_boundary_ = false; }
  // Answers all that IsReady() was about.
  void Answer(const absl::Status& status) ABSL_LOCKS_EXCLUDED(monitor_);
  // Answers all, and whoever asks later.
  void Close(const absl::Status& status) ABSL_LOCKS_EXCLUDED(monitor_);

 private:
  bool IsAsked() const {
    return seen_.load() != answered_ || seen_outside_ != answered_outside_;
  }

  Ring* const ring_;
  RotationOptions options_;
  RotationSchedule schedule_;
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint64_t> seen_{0};

  // The flusher's.
  bool has_passed_boundary_ = false;
  uint64_t answered_ = 0;
  uint64_t seen_outside_;  // RotationRequest::asked
  uint64_t answered_outside_;
  uint64_t target_ = 0;

  ForkSafeMutex monitor_;
  bool is_closed_ ABSL_GUARDED_BY(monitor_) = false;
  uint64_t told_ ABSL_GUARDED_BY(monitor_) = 0;  // answered_, for who waits
  absl::Status status_ ABSL_GUARDED_BY(monitor_);
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_ROTATION_REQUESTS_H_
