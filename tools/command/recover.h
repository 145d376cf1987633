// `ringlog recover`

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_H_

#include <string>
#include <vector>

namespace ringlog {

// Writes closed segments of what `paths` have into the directory `output`:
// those of each leftover ring, with its records, and those without a ring. The
// sources stay as they are; but a ring whose segments are in `output` itself is
// recovered there, as the next start of its program would, and deleted. May be
// killed at any moment and done again, with the same result.
//
// Prints a line for each segment on standard output, and what is missing on
// standard error. Returns the exit status.
int Recover(const std::vector<std::string>& paths, const std::string& output);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_H_
