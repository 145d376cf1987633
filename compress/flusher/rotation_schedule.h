// RotationSchedule
//
// When a segment ends because of the time of day. Asks no clock.

#ifndef RINGLOG_COMPRESS_FLUSHER_ROTATION_SCHEDULE_H_
#define RINGLOG_COMPRESS_FLUSHER_ROTATION_SCHEDULE_H_

#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"

namespace ringlog {

// Thread-compatible.
class RotationSchedule {
 public:
  // Begins at `now`: a boundary at that very moment has been passed.
  RotationSchedule(const RotationOptions& options, absl::Time now);

  // True if a boundary lies between the last call and `now`, however many do.
  //
  // The clock may jump. Forward, that is one rotation. Backward by less than
  // the interval, no boundary is passed a second time, as when the clock is
  // corrected around midnight; by more, what it says now counts.
  bool Passes(absl::Time now);

  // The next one; absl::InfiniteFuture() if there is none.
  absl::Time next() const { return next_; }

 private:
  absl::Time BoundaryAfter(absl::Time now) const;

  absl::Duration interval_;
  absl::Duration offset_;
  absl::Time next_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_ROTATION_SCHEDULE_H_
