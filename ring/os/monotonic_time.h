// Monotonic time, for measuring intervals. absl::Now() is not suitable, because
// the time of day can be set back.

#ifndef RINGLOG_RING_OS_MONOTONIC_TIME_H_
#define RINGLOG_RING_OS_MONOTONIC_TIME_H_

#include <time.h>

#include "absl/time/time.h"

namespace ringlog {

// Returns the time of CLOCK_MONOTONIC. Only differences are meaningful.
// Thread-safe.
inline absl::Duration MonotonicTime() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_MONOTONIC_TIME_H_
