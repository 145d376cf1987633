// What crash_demo's victim logs, and so what has to be found afterwards: a pure
// function of the thread and a running number.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_WORKLOAD_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/ring/record.h"

namespace ringlog {

struct WorkItem {
  Severity severity = Severity::kInfo;
  std::string text;
};

// Thread-safe once made.
class CrashWorkload {
 public:
  // The lines of a file, each without its line feed, over and over.
  static absl::StatusOr<CrashWorkload> FromFile(const std::string& path);

  // Lines like a server's: short and long, some empty, some with line breaks,
  // tabs, quotes and bytes that are no text.
  static CrashWorkload MadeUp() { return CrashWorkload(); }

  // What thread `thread` logs as its record number `number`, both from 1.
  WorkItem Get(int thread, uint64_t number) const;

  // The name that the records have as their source file.
  const std::string& name() const { return name_; }

 private:
  CrashWorkload() = default;

  std::string name_ = "made_up";
  std::vector<std::string> lines_;  // empty: made up
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_WORKLOAD_H_
