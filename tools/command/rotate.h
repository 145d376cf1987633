// `ringlog rotate`

#ifndef RINGLOG_TOOLS_COMMAND_ROTATE_H_
#define RINGLOG_TOOLS_COMMAND_ROTATE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace ringlog {

// Asks the running processes whose rings these are, or are in these
// directories, to close the segments that they write, and waits until they
// have, `timeout` at the most. Returns the exit status: 0 if all have, 1 if one
// has not, 2 if there is none to ask.
int Rotate(const std::vector<std::string>& paths, absl::Duration timeout);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_ROTATE_H_
