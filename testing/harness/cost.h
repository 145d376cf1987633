// The cost of a piece of code in memory and reads, which does not depend on the
// speed of the machine.

#ifndef RINGLOG_TESTING_HARNESS_COST_H_
#define RINGLOG_TESTING_HARNESS_COST_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace ringlog {

struct Cost {
  // Growth of the resident memory, at its peak.
  uint64_t memory_bytes = 0;
  // Bytes that read(2) and its relatives returned.
  uint64_t read_bytes = 0;
};

// Runs `body` in a forked child, and returns the cost of `body`. The test ends
// if the child does not end normally. Sanitizers add to the memory.
Cost CostOf(const std::function<void()>& body);

// Returns the number of bytes that the process has read: `rchar` in
// /proc/PID/io. The process may have ended, but not been waited for.
uint64_t BytesReadBy(pid_t process);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_COST_H_
