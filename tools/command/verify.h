// `ringlog verify`

#ifndef RINGLOG_TOOLS_COMMAND_VERIFY_H_
#define RINGLOG_TOOLS_COMMAND_VERIFY_H_

#include <string>
#include <vector>

namespace ringlog {

// Reads what Decode() reads, and compares what the files say of themselves and
// of each other with what they hold. Prints on standard output, for each file,
// a line that says what it is and one for each thing that was found; at the end
// one with the sums. Returns the exit status.
//
// Memory is bounded: of one file, the first thousand findings are kept.
int Verify(const std::vector<std::string>& paths);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_VERIFY_H_
