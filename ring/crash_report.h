// What the crash area of a ring says: bytes that are not trusted -> the reports
// that signal handlers wrote. CrashArea (crash_area.h) is the writer.

#ifndef RINGLOG_RING_CRASH_REPORT_H_
#define RINGLOG_RING_CRASH_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"

namespace ringlog {

struct CrashReport {
  int32_t thread_id = 0;
  int64_t time_ns = 0;  // Unix time at which it began
  int signal = 0;       // as its text has it; 0 if it does not say
  // Where cells are damaged, "[up to N bytes are missing here]".
  std::string text;
  // By how much it is longer than what found room. Of several that have no end,
  // the last one has it.
  uint64_t lost_bytes = 0;
  bool is_complete = false;  // its writer got to the end
};

// The reports in `area`, in the order in which they began. `seed` is
// ChecksumSeed() of the ring. There are fewer than cells, and their text is not
// much longer than the area.
std::vector<CrashReport> ReadCrashArea(absl::string_view area,
                                       absl::crc32c_t seed);

// The signal that a report of absl::InstallFailureSignalHandler() begins with:
// "*** SIGSEGV received" or "*** Signal 11 received". 0 if it is none.
int SignalOfReport(absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_RING_CRASH_REPORT_H_
