// RotationSchedule
//
// The times at which a segment ends (RotationOptions::interval and offset).
// Reads no clock.

#ifndef RINGLOG_COMPRESS_FLUSHER_ROTATION_SCHEDULE_H_
#define RINGLOG_COMPRESS_FLUSHER_ROTATION_SCHEDULE_H_

#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"

namespace ringlog {

// Thread-compatible.
class RotationSchedule {
 public:
  // Starts at `now`. A boundary at exactly that time counts as passed.
  RotationSchedule(const RotationOptions& options, absl::Time now);

  // Returns true if one or more boundaries lie between the last call and `now`.
  //
  // The clock may jump:
  //   forward                         several boundaries count as one
  //   backward, less than `interval`  no boundary is passed twice, for example
  //                                   if the clock is corrected around midnight
  //   backward, more                  the next boundary is the first one after
  //                                   `now`
  bool PassesBoundary(absl::Time now);

  // Returns the next boundary; absl::InfiniteFuture() if there is none.
  absl::Time next() const { return next_; }

 private:
  absl::Time BoundaryAfter(absl::Time now) const;

  absl::Duration interval_;
  absl::Duration offset_;
  absl::Time next_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_ROTATION_SCHEDULE_H_
