// The program that crash_demo kills. Like any application, it installs the sink
// and uses Abseil's LOG.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_VICTIM_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_VICTIM_H_

#include <cstdint>
#include <string>

#include "ringlog/tools/crash_demo/crash_counters.h"
#include "ringlog/tools/crash_demo/crash_workload.h"

namespace ringlog {

struct VictimOptions {
  // Directory of the ring and the segments.
  std::string directory;
  int threads = 4;
  // Number of records that each thread logs. 0: no limit.
  uint64_t records = 0;
  // Size of the ring in bytes.
  uint64_t ring_bytes = uint64_t{1} << 20;
};

// Logs until the process is killed. If options.records is not 0, each thread
// stops after that number of records, and the process waits for the kill.
// Returns only if it cannot install the sink: prints the error on standard
// error and returns exit status 2.
int RunVictim(const VictimOptions& options, const CrashWorkload& workload,
              const SharedCrashCounters& counters);

// Acts as the next start of the application after a crash: installs the sink
// and waits up to five minutes until the leftover rings are recovered. Returns
// the exit status: 0, or 2 after a failure, which is printed on standard error.
int RunNextStart(const std::string& directory);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_VICTIM_H_
