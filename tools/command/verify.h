// The command `ringlog verify`.

#ifndef RINGLOG_TOOLS_COMMAND_VERIFY_H_
#define RINGLOG_TOOLS_COMMAND_VERIFY_H_

#include <string>
#include <vector>

namespace ringlog {

// Reads the rings, segments and directories `paths` like Decode(), and compares
// the metadata of each file with its content and with the other files. Prints
// on standard output a line for each file, a line below it for each finding,
// and a line with the totals.
//
// Returns the exit status:
//   0: complete
//   1: records are missing, or a file is damaged
//   2: an input is unusable, or standard output cannot be written
//
// Guarantees: memory is bounded; at most 1000 findings of a file are printed.
int Verify(const std::vector<std::string>& paths);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_VERIFY_H_
