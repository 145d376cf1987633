// The command `ringlog inspect`.

#ifndef RINGLOG_TOOLS_COMMAND_INSPECT_H_
#define RINGLOG_TOOLS_COMMAND_INSPECT_H_

#include <string>
#include <vector>

namespace ringlog {

// Prints facts about each ring `paths` on standard output: its owner and
// whether that process is alive, its content, dropped records, and the
// persisted positions. Prints errors on standard error.
//
// Returns the exit status:
//   0: complete
//   1: records are missing, or a ring is damaged or truncated
//   2: a path is not a readable ring, or standard output cannot be written
int Inspect(const std::vector<std::string>& paths);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_INSPECT_H_
