// The directory for relative paths on the command line.

#ifndef RINGLOG_TOOLS_COMMAND_WORKING_DIRECTORY_H_
#define RINGLOG_TOOLS_COMMAND_WORKING_DIRECTORY_H_

#include "absl/status/status.h"

namespace ringlog {

// Changes to the directory in the environment variable BUILD_WORKING_DIRECTORY.
// `bazel run` sets the variable to the directory where the user typed the
// command, and starts the program in another directory. Does nothing if the
// variable is not set. Errors are those of chdir(2), with the path.
//
// Call it before other threads use relative paths or change the environment.
absl::Status EnterWorkingDirectory();

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_WORKING_DIRECTORY_H_
