// Where relative paths on the command line begin.

#ifndef RINGLOG_TOOLS_COMMAND_WORKING_DIRECTORY_H_
#define RINGLOG_TOOLS_COMMAND_WORKING_DIRECTORY_H_

#include "absl/status/status.h"

namespace ringlog {

// `bazel run` starts a program elsewhere than where its user typed the paths,
// and says in BUILD_WORKING_DIRECTORY where that was: goes there. Does nothing
// if that is not set.
absl::Status EnterWorkingDirectory();

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_WORKING_DIRECTORY_H_
