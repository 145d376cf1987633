// Tells a test whether its build has a sanitizer.

#ifndef RINGLOG_TESTING_HARNESS_SANITIZER_H_
#define RINGLOG_TESTING_HARNESS_SANITIZER_H_

#include "absl/base/config.h"

namespace ringlog {

// True with AddressSanitizer or ThreadSanitizer: code and system calls are
// slow, and memory cannot be limited or measured.
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
inline constexpr bool kHasSanitizer = true;
#else
inline constexpr bool kHasSanitizer = false;
#endif

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_SANITIZER_H_
