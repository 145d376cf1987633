// Makes allocations of other threads than the main thread fail. The library
// replaces operator new and operator delete of the whole program.

#ifndef RINGLOG_TESTING_HARNESS_FAILING_ALLOCATIONS_H_
#define RINGLOG_TESTING_HARNESS_FAILING_ALLOCATIONS_H_

#include <cstdint>

namespace ringlog {

inline constexpr int64_t kNoFailure = -1;

// Lets `count` allocations succeed in threads other than the main thread. Each
// later one throws std::bad_alloc, until the next call. kNoFailure: all
// succeed. Thread-safe.
void FailAllocationsAfter(int64_t count);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_FAILING_ALLOCATIONS_H_
