// The command `ringlog rotate`.

#ifndef RINGLOG_TOOLS_COMMAND_ROTATE_H_
#define RINGLOG_TOOLS_COMMAND_ROTATE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace ringlog {

// Requests a rotation from the running processes that own the rings `paths`, or
// the rings in the directories `paths`. Waits up to `timeout` until each
// process has closed its segment. Prints a line for each ring on standard
// output, and errors on standard error.
//
// Returns the exit status:
//   0: all processes have closed their segments
//   1: a process has not, or has ended before
//   2: a path has no ring of a running process, a request cannot be written,
//      or standard output cannot be written
//
// Writes only to the ring of this user, or as root to that of any user, and
// only if the ring has the name in its header. Does not follow symlinks.
int Rotate(const std::vector<std::string>& paths, absl::Duration timeout);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_ROTATE_H_
