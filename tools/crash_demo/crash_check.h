// What is left of the victim's records, against what it knew when it died.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_CHECK_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringlog/ring/circular_buffer.h"
#include "ringlog/tools/crash_demo/crash_workload.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/decoded_formatter.h"

namespace ringlog {

struct CrashCounts {
  uint64_t acknowledged = 0;
  uint64_t in_segments = 0;
  uint64_t in_ring = 0;
  // Found, though LOG() had not returned: at most one for each thread.
  uint64_t unacknowledged = 0;
  // Slots of records that were being written: they do not exist.
  uint64_t unfinished = 0;
  // None of these may be.
  uint64_t lost = 0;
  uint64_t duplicated = 0;
  uint64_t out_of_order = 0;  // within a thread
  uint64_t changed = 0;       // text, severity or file
  uint64_t foreign = 0;       // nobody logged them
  uint64_t problems = 0;      // gaps that are a loss, damage, unusable files

  bool ok() const {
    return lost + duplicated + out_of_order + changed + foreign + problems == 0;
  }
  void Add(const CrashCounts& other);
};

// Thread-compatible.
class CrashCheck {
 public:
  // `acknowledged` has an element for each thread. `workload` must outlive it.
  CrashCheck(const CrashWorkload* workload, std::vector<uint64_t> acknowledged);

  // Decodes `directory` and compares. What Decode() reports beside records is
  // printed on stderr.
  CrashCounts Run(const std::string& directory);

  // The lines of the last records that Run() found.
  const CircularBuffer<std::string>& last_lines() const { return last_lines_; }

 private:
  struct Thread {
    uint64_t acknowledged = 0;
    uint64_t last = 0;
    std::vector<bool> seen;  // by number
  };

  void Take(const DecodedRecord& decoded);
  void CountMissing();
  bool Fits(const Record& record, const WorkItem& item) const;

  const CrashWorkload* workload_;
  std::vector<Thread> threads_;
  CrashCounts counts_;
  DecodedFormatter formatter_;
  std::string line_;
  CircularBuffer<std::string> last_lines_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_CHECK_H_
