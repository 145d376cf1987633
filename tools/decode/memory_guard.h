// A limit on the effect of a lack of memory.

#ifndef RINGLOG_TOOLS_DECODE_MEMORY_GUARD_H_
#define RINGLOG_TOOLS_DECODE_MEMORY_GUARD_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace ringlog {

// Calls `body`, so that one file which needs too much memory does not end the
// work on the others. Thread-safe.
//   ResourceExhausted: the memory did not suffice. `body` has ended early, by
//                      std::bad_alloc. Never returned if the program is built
//                      without exceptions; a lack of memory then ends it.
absl::Status WithinMemory(absl::FunctionRef<void()> body);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_MEMORY_GUARD_H_
