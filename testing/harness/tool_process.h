// Runs programs of this package as their users do, from tests.

#ifndef RINGLOG_TESTING_HARNESS_TOOL_PROCESS_H_
#define RINGLOG_TESTING_HARNESS_TOOL_PROCESS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ringlog {

struct ToolRun {
  int exit_status = 0;  // 128 + the signal, if one ended it
  std::string out;
  std::string err;
  int64_t max_rss_kib = 0;
};

struct ToolOptions {
  std::vector<std::string> environment;  // "NAME=value", added to the test's
  std::string directory;                 // to start in; empty: the test's
  std::string in;                        // standard input
  std::string stdout_path;               // instead of ToolRun::out
  // Standard output is a pipe that nobody reads any more.
  bool broken_pipe = false;
  // Modes of files count for root too.
  bool drop_file_rights = false;
};

// The path of a program of this package, which the test has among its data.
std::string ToolPath(const std::string& name);

// Runs it to its end.
ToolRun RunTool(const std::string& name,
                const std::vector<std::string>& arguments,
                const ToolOptions& options = {});

// The same for a program of the system, found by PATH: exit status 127 if it is
// not there.
ToolRun RunProgram(const std::string& name,
                   const std::vector<std::string>& arguments,
                   const ToolOptions& options = {});

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_TOOL_PROCESS_H_
