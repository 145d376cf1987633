// The command `ringlog inspect`.

#ifndef RINGLOG_TOOLS_COMMAND_INSPECT_H_
#define RINGLOG_TOOLS_COMMAND_INSPECT_H_

#include <string>
#include <vector>

namespace ringlog {

// Prints facts about each ring on standard output: its owner and whether that
// process is alive, its content, dropped records, and the persisted positions.
// Returns the exit status.
int Inspect(const std::vector<std::string>& paths);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_INSPECT_H_
