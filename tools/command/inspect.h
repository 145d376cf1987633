// `ringlog inspect`

#ifndef RINGLOG_TOOLS_COMMAND_INSPECT_H_
#define RINGLOG_TOOLS_COMMAND_INSPECT_H_

#include <string>
#include <vector>

namespace ringlog {

// Prints on standard output what each ring says of itself: who made it and
// whether that process lives, what is in it, what was dropped, how far it has
// been persisted. Returns the exit status.
int Inspect(const std::vector<std::string>& paths);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_INSPECT_H_
