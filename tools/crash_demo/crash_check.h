// Comparison of the records that a crash left with the records that the victim
// had logged.

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

// Counts of one check. They are records unless a comment says otherwise.
struct CrashCounts {
  // Records whose LOG() had returned.
  uint64_t acknowledged = 0;
  // Records that were found.
  uint64_t in_segments = 0;
  uint64_t in_ring = 0;
  // Found records whose LOG() had not returned: at most one in each thread.
  uint64_t unacknowledged = 0;
  // Slots whose record was not committed. These records do not exist.
  uint64_t unfinished = 0;

  // The counts below must be 0.

  // Acknowledged records that were not found.
  uint64_t lost = 0;
  uint64_t duplicated = 0;
  // Records before an earlier record of their thread.
  uint64_t out_of_order = 0;
  // Records with another text, severity or file name.
  uint64_t changed = 0;
  // Records that the victim did not log.
  uint64_t foreign = 0;
  // Gaps that are losses, damaged regions, and unusable files.
  uint64_t problems = 0;

  // Returns true if all counts that must be 0 are 0.
  bool ok() const {
    return lost + duplicated + out_of_order + changed + foreign + problems == 0;
  }
  // Adds the counts of `other`.
  void Add(const CrashCounts& other);
};

// Checks one directory.
//
// Thread-compatible.
class CrashCheck {
 public:
  // `acknowledged` has the number of acknowledged records of each thread.
  // `workload` must outlive the object.
  CrashCheck(const CrashWorkload* workload, std::vector<uint64_t> acknowledged);

  // Decodes `directory` and compares the records. Prints losses, damage and
  // unusable files on standard error. May be called once.
  CrashCounts Run(const std::string& directory);

  // Returns the lines of the last records that Run() found, the oldest first.
  const CircularBuffer<std::string>& last_lines() const { return last_lines_; }

 private:
  struct Thread {
    uint64_t acknowledged = 0;
    // Number of the last found record.
    uint64_t last = 0;
    // True for each found record, by its number.
    std::vector<bool> seen;
  };

  void AddRecord(const DecodedRecord& decoded);
  void CountMissing();
  bool Matches(const Record& record, const WorkItem& item) const;

  const CrashWorkload* workload_;
  std::vector<Thread> threads_;
  CrashCounts counts_;
  DecodedFormatter formatter_;
  std::string line_;
  CircularBuffer<std::string> last_lines_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_CHECK_H_
