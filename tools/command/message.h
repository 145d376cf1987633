// Messages of the command on standard error.

#ifndef RINGLOG_TOOLS_COMMAND_MESSAGE_H_
#define RINGLOG_TOOLS_COMMAND_MESSAGE_H_

#include "absl/strings/string_view.h"
#include "ringlog/tools/command/output.h"

namespace ringlog {

// Prints "ringlog: SUBJECT: MESSAGE". What could steer a terminal is made
// visible: names and messages hold what files hold.
void PrintMessage(absl::string_view subject, absl::string_view message);

// Writes what is left in `output`, which is standard output. False, and a
// message, if it could not all be written. A reader that has gone, as head(1)
// does, has got what it wanted: that is no error.
bool FinishStandardOutput(Output* output);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_MESSAGE_H_
