// Options of a sink from environment variables, which set options without a
// rebuild and without a command line.
//
//   RINGLOG_DIRECTORY=/var/log/server RINGLOG_RING_BYTES=64MiB ./server
//
// Each option that can be written as text has a variable: RINGLOG_ and the name
// of the option in capitals, with _ in place of a dot. Values:
//
//   size      number of bytes, or a number with the unit KiB, MiB or GiB
//   duration  as for absl::ParseDuration()
//   enum      a name: "drop_newest", "json", "WARNING"; case is ignored
//   boolean   true or false
//
// A program with other rights than the user who starts it (set-user-id,
// set-group-id, file capabilities; secure_getenv(3)) ignores all variables.
//
// A flag (flags.h) overrides an environment variable, which overrides the code:
//
//   ringlog::RingLogSinkOptions options;
//   options.directory = "/var/log/server";
//   auto with_variables = ringlog::OptionsFromEnvironment(options);
//   if (!with_variables.ok()) ...
//   auto with_flags = ringlog::OptionsFromFlags(*with_variables);

#ifndef RINGLOG_LOGSINK_ENVIRONMENT_H_
#define RINGLOG_LOGSINK_ENVIRONMENT_H_

#include "absl/status/statusor.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

// Returns `defaults`, changed by the variables that are set. An empty variable
// counts as not set. A variable that matches no option is ignored, because it
// may belong to a later version.
//
//   InvalidArgument  a variable has an invalid value, or the variables
//                    contradict an option of `defaults`. The message has the
//                    variable or option, its value and the valid values. A flag
//                    does not prevent this error, because flags apply later
//
// Thread-safe if no thread changes the environment during the call.
absl::StatusOr<RingLogSinkOptions> OptionsFromEnvironment(
    RingLogSinkOptions defaults);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_ENVIRONMENT_H_
