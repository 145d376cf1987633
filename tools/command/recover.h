// The command `ringlog recover`.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_H_

#include <string>
#include <vector>

namespace ringlog {

// Recovers the rings and segments in `paths`. Writes closed segments to the
// directory `output`:
//   - the segments of each leftover ring, with the ring's records;
//   - the segments without a ring.
// The sources stay unchanged, with one exception: a ring whose segments are in
// `output` itself is recovered there and deleted, as the next start of its
// program would do. If the process is killed at any moment, a second run gives
// the same result.
//
// Prints a line for each segment on standard output, and missing records and
// damage on standard error.
//
// Returns the exit status:
//   0: complete
//   1: records are missing, or a file is damaged
//   2: an input or the output is unusable, or standard output cannot be written
int Recover(const std::vector<std::string>& paths, const std::string& output);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_H_
