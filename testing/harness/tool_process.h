// Runs programs in child processes, as users run them.

#ifndef RINGLOG_TESTING_HARNESS_TOOL_PROCESS_H_
#define RINGLOG_TESTING_HARNESS_TOOL_PROCESS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ringlog {

// The result of one run.
struct ToolRun {
  int exit_status = 0;  // 128 + the signal if a signal ended it
  std::string out;
  std::string err;
  int64_t max_rss_kib = 0;
  uint64_t read_bytes = 0;  // as Cost::read_bytes (cost.h)
};

struct ToolOptions {
  std::vector<std::string> environment;  // "NAME=value", added to the test's
  std::string directory;    // working directory; empty: that of the test
  std::string in;           // standard input
  std::string stdout_path;  // where stdout goes instead of `out`
  // Whether stdout is a pipe without a reader.
  bool broken_pipe = false;
  // Whether file modes also apply if the test runs as root.
  bool drop_file_rights = false;
};

// Returns the path of the program tools/NAME, which must be in the `data` of
// the test.
std::string ToolPath(const std::string& name);

// Runs the program tools/NAME and waits for its end.
ToolRun RunTool(const std::string& name,
                const std::vector<std::string>& arguments,
                const ToolOptions& options = {});

// Runs the program that PATH finds for `name`, and waits for its end. The exit
// status is 127 if the program does not exist.
ToolRun RunProgram(const std::string& name,
                   const std::vector<std::string>& arguments,
                   const ToolOptions& options = {});

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_TOOL_PROCESS_H_
