#include "ringlog/compress/flusher/rotation_requests.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

RotationRequests::RotationRequests(Ring* ring, const RotationOptions& options)
    : ring_(ring), options_(options), schedule_(options, absl::Now()) {
  RotationRequest* const outside = ring->rotation_request();
  answered_outside_ =
      std::max({uint64_t{1}, LoadRelaxed(&outside->asked), outside->done});
  seen_outside_ = answered_outside_;
  StoreRelaxed(&outside->done, answered_outside_);
}

void RotationRequests::Reconfigure(const RotationOptions& options,
                                   absl::Time now) {
  if (options.interval != options_.interval ||
      options.offset != options_.offset) {
    schedule_ = RotationSchedule(options, now);
  }
  options_ = options;
}

uint64_t RotationRequests::Ask() {
  ForkSafeMutexLock lock(&monitor_);
  return is_closed_ ? 0 : asked_.fetch_add(1) + 1;
}

absl::Status RotationRequests::Await(uint64_t number, absl::Duration timeout) {
  ForkSafeMutexLock lock(&monitor_);
  const auto is_answered = [this, number]()
                               ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
                                 return published_answer_ >= number;
                               };
  if (!monitor_.AwaitWithTimeout(is_answered, timeout)) {
    return absl::DeadlineExceededError(
        "rotate: the segment is not closed yet; it will be closed later");
  }
  return status_;
}

void RotationRequests::Poll(absl::Time now, bool segment_is_open) {
  // If no segment is open, none has to end: the next one begins after the
  // boundary.
  if (schedule_.PassesBoundary(now)) has_passed_boundary_ = segment_is_open;
  const uint64_t asked = asked_.load();
  const uint64_t outside = LoadRelaxed(&ring_->rotation_request()->asked);
  const bool is_new_outside =
      outside != seen_outside_ && outside > answered_outside_;
  if (asked == seen_.load() && !is_new_outside) return;
  seen_.store(asked);
  if (is_new_outside) seen_outside_ = outside;
  target_ = ring_->tail_position();
}

void RotationRequests::Answer(const absl::Status& status) {
  has_passed_boundary_ = false;
  if (seen_outside_ != answered_outside_) {
    answered_outside_ = seen_outside_;
    // Another process must not take a failed rotation for a done one. It waits
    // for the next rotation or for the end of this process.
    if (status.ok()) {
      StoreRelaxed(&ring_->rotation_request()->done, answered_outside_);
    }
  }
  if (seen_.load() == answered_) return;
  answered_ = seen_.load();
  ForkSafeMutexLock lock(&monitor_);
  published_answer_ = answered_;
  status_ = status;
}

void RotationRequests::Close(const absl::Status& status) {
  {
    ForkSafeMutexLock lock(&monitor_);
    is_closed_ = true;
    seen_.store(asked_.load());
  }
  Answer(status);
}

}  // namespace ringlog
