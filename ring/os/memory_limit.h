// Keeps a lack of memory in a background thread from ending the process.

#ifndef RINGLOG_RING_OS_MEMORY_LIMIT_H_
#define RINGLOG_RING_OS_MEMORY_LIMIT_H_

#include "absl/functional/function_ref.h"

namespace ringlog {

// Calls `body`. Returns false if an allocation in it has failed, so that it
// threw std::bad_alloc. In a program without exceptions, a failed allocation
// ends the process.
//
// Thread-safe. Allocates nothing itself.
bool FitsInMemory(absl::FunctionRef<void()> body);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_MEMORY_LIMIT_H_
