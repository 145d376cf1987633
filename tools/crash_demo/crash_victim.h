// The program that crash_demo kills. It is an application like any other: it
// uses Abseil's LOG and installs the sink, and knows nothing else of ringlog.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_VICTIM_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_VICTIM_H_

#include <cstdint>
#include <string>

#include "ringlog/tools/crash_demo/crash_counters.h"
#include "ringlog/tools/crash_demo/crash_workload.h"

namespace ringlog {

struct VictimOptions {
  std::string directory;
  int threads = 4;
  uint64_t records = 0;  // that each thread logs; 0: no end
  uint64_t ring_bytes = uint64_t{1} << 20;
};

// Logs until it is killed, or has logged `records`; then waits to be killed.
// Returns only if it could not begin: an exit status.
int RunVictim(const VictimOptions& options, const CrashWorkload& workload,
              const SharedCrashCounters& counters);

// The next start of the application after the crash: it installs the sink,
// waits until the leftovers have been recovered, and ends. Returns its exit
// status.
int RunNextStart(const std::string& directory);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_VICTIM_H_
