// Waiting for what another thread or process does.

#ifndef RINGLOG_TESTING_HARNESS_WAIT_UNTIL_H_
#define RINGLOG_TESTING_HARNESS_WAIT_UNTIL_H_

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace ringlog {

// However long it takes: what never comes is for the test's own timeout.
inline void WaitUntil(absl::FunctionRef<bool()> condition) {
  while (!condition()) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_WAIT_UNTIL_H_
