// Waits for another thread or process.

#ifndef RINGLOG_TESTING_HARNESS_WAIT_UNTIL_H_
#define RINGLOG_TESTING_HARNESS_WAIT_UNTIL_H_

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace ringlog {

// Returns when `condition` holds. Has no timeout, because Bazel ends a test
// that takes too long.
inline void WaitUntil(absl::FunctionRef<bool()> condition) {
  while (!condition()) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_WAIT_UNTIL_H_
