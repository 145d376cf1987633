// RotationRequests
//
// Requests to close a segment before it is full. They come from
//
//   - the schedule (a time of day),
//   - a call of Rotate() in this process,
//   - another process, through the ring's header (`ringlog rotate`).
//
// The flusher answers all pending requests with one rotation.
//
// Context: Ask(), Await() and has_new_requests(): any thread. The other
// methods: the flusher's thread.

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
  // Sets RotationRequest::done, which shows other processes that a flusher
  // answers the ring's requests. `ring` must outlive the object.
  RotationRequests(Ring* ring, const RotationOptions& options);

  // Uses `options` from `now` on. If their schedule is the same, keeps its next
  // boundary.
  void Reconfigure(const RotationOptions& options, absl::Time now);

  // Adds a request and returns its number, from 1 on. Returns 0 after Close().
  uint64_t Ask() ABSL_LOCKS_EXCLUDED(monitor_);
  // Waits until the request is answered, and returns the status of the answer.
  //   DeadlineExceeded: `timeout` has passed
  absl::Status Await(uint64_t number, absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(monitor_);

  // Returns true if Ask() was called after the last Poll().
  bool has_new_requests() const { return asked_.load() != seen_.load(); }
  // Collects the requests that are there at `now`. Records that were committed
  // before belong to the segment that will be closed.
  void Poll(absl::Time now, bool segment_is_open);
  // Returns true if a collected request is not answered yet.
  bool is_pending() const { return has_passed_boundary_ || IsAsked(); }
  // Returns true if the segment may be closed, given that all records below the
  // position `persisted` are in segments.
  bool IsReady(uint64_t persisted) const {
    return has_passed_boundary_ || (IsAsked() && persisted >= target_);
  }
  // Must be called when a segment was closed for any reason: a boundary that
  // has passed must not close the next segment, too.
  void SegmentClosed() { has_passed_boundary_ = false; }
  // Answers all collected requests with `status`.
  void Answer(const absl::Status& status) ABSL_LOCKS_EXCLUDED(monitor_);
  // Answers all requests, also the ones that were not collected, and refuses
  // later ones.
  void Close(const absl::Status& status) ABSL_LOCKS_EXCLUDED(monitor_);

 private:
  bool IsAsked() const {
    return seen_.load() != answered_ || seen_outside_ != answered_outside_;
  }

  Ring* const ring_;
  RotationOptions options_;
  RotationSchedule schedule_;
  // Number of the last request of this process, and of the last collected one.
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint64_t> seen_{0};

  // Members of the flusher's thread.
  bool has_passed_boundary_ = false;
  uint64_t answered_ = 0;  // number of the last answered request
  // Such numbers for other processes, which use RotationRequest::asked.
  uint64_t seen_outside_;
  uint64_t answered_outside_;
  // End of the positions that belong to the segment that will be closed.
  uint64_t target_ = 0;

  ForkSafeMutex monitor_;
  bool is_closed_ ABSL_GUARDED_BY(monitor_) = false;
  uint64_t published_answer_ ABSL_GUARDED_BY(monitor_) = 0;  // answered_
  absl::Status status_ ABSL_GUARDED_BY(monitor_);
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_ROTATION_REQUESTS_H_
