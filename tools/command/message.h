// Messages of the command.

#ifndef RINGLOG_TOOLS_COMMAND_MESSAGE_H_
#define RINGLOG_TOOLS_COMMAND_MESSAGE_H_

#include "absl/strings/string_view.h"
#include "ringlog/tools/command/output.h"

namespace ringlog {

// Prints "ringlog: SUBJECT: MESSAGE" as one line on standard error. Shows
// bytes as VisibleLine() does, because subject and message may have bytes from
// files. Ignores write errors. Thread-safe.
void PrintMessage(absl::string_view subject, absl::string_view message);

// Flushes `output`. If a write failed, prints a message and returns false. A
// closed pipe is not an error, because a reader such as head(1) closes the pipe
// when it has enough lines.
// Requires: `output` writes to standard output, and no other thread uses it.
bool FinishStandardOutput(Output* output);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_MESSAGE_H_
