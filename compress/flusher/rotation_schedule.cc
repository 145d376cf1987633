#include "ringlog/compress/flusher/rotation_schedule.h"

namespace ringlog {

RotationSchedule::RotationSchedule(const RotationOptions& options,
                                   absl::Time now)
    : interval_(options.interval),
      offset_(options.offset),
      next_(BoundaryAfter(now)) {}

absl::Time RotationSchedule::BoundaryAfter(absl::Time now) const {
  if (interval_ <= absl::ZeroDuration()) return absl::InfiniteFuture();
  const absl::Time origin = absl::UnixEpoch() + offset_;
  return origin + absl::Floor(now - origin, interval_) + interval_;
}

bool RotationSchedule::PassesBoundary(absl::Time now) {
  if (next_ == absl::InfiniteFuture()) return false;
  if (now >= next_) {
    next_ = BoundaryAfter(now);
    return true;
  }
  // A clock that went back by less than an interval is at most two intervals
  // before the next boundary.
  if (next_ - now > 2 * interval_) next_ = BoundaryAfter(now);
  return false;
}

}  // namespace ringlog
