// Messages of the command on standard error.

#ifndef RINGLOG_TOOLS_MESSAGE_H_
#define RINGLOG_TOOLS_MESSAGE_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// Prints "ringlog: SUBJECT: MESSAGE". What could steer a terminal is made
// visible: names and messages hold what files hold.
void PrintMessage(absl::string_view subject, absl::string_view message);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_MESSAGE_H_
