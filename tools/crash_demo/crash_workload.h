// The records that crash_demo's victim logs, and that must be found afterwards.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_WORKLOAD_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// One record.
struct WorkItem {
  Severity severity = Severity::kInfo;
  std::string text;
};

// A record is a pure function of its thread and its number, so that the victim
// and the check agree on it.
//
// Immutable, and therefore thread-safe.
class CrashWorkload {
 public:
  // Returns a workload of the lines of the file at `path`, without their line
  // feeds, repeated endlessly. The messages of errors do not have the path.
  //   InvalidArgument: the file is empty
  //   DataLoss:        the file cannot be read
  //   others:          those of fopen(3)
  static absl::StatusOr<CrashWorkload> FromFile(const std::string& path);

  // Returns a workload of generated lines like those of a server: short and
  // long lines, and some that are empty or have line breaks, tabs, quotes or
  // binary bytes.
  static CrashWorkload MadeUp() { return CrashWorkload(); }

  // Returns record number `number` of thread number `thread`. Both begin with
  // 1.
  WorkItem Get(int thread, uint64_t number) const;

  // Returns the source file name of the records.
  const std::string& name() const { return name_; }

 private:
  CrashWorkload() = default;

  std::string name_ = "made_up";
  // Lines of the file. Empty for generated lines.
  std::vector<std::string> lines_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_WORKLOAD_H_
