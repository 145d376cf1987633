// Options of a sink from command-line flags.
//
// A program that depends on this target has a flag for each option that can be
// written as text:
//
//   ./server --ringlog_directory=/var/log/server --ringlog_sync=true
//
// `--helpfull` lists the flags. Their values have the same form as those of
// environment variables (environment.h). A boolean flag needs its value: true
// or false.
//
//   int main(int argc, char** argv) {
//     absl::ParseCommandLine(argc, argv);
//     absl::InitializeLog();
//     auto options = ringlog::OptionsFromFlags();
//     if (!options.ok()) ...
//     auto sink = ringlog::Install(*options);
//
// A flag overrides an environment variable, which overrides the code.

#ifndef RINGLOG_LOGSINK_FLAGS_H_
#define RINGLOG_LOGSINK_FLAGS_H_

#include "absl/status/statusor.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

// Returns `defaults`, changed by the flags that were given. (If a flag has an
// invalid value, absl::ParseCommandLine() has reported it and ended the
// program.)
//
//   InvalidArgument  an option of the result is invalid: there is no directory,
//                    two options contradict each other, or `defaults` has an
//                    invalid value. The message has the option's flag, its
//                    value and the valid values
//
// Thread-safe.
absl::StatusOr<RingLogSinkOptions> OptionsFromFlags(
    RingLogSinkOptions defaults = {});

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_FLAGS_H_
