// The options of a sink from the command line. A program that depends on this
// target has a flag for each option that can be written as text:
//
//   ./server --ringlog_directory=/var/log/server --ringlog_sync=true
//
// `--helpfull` lists them. Values are as in environment variables
// (logsink/environment.h); true and false have to be written out.
//
//   int main(int argc, char** argv) {
//     absl::ParseCommandLine(argc, argv);
//     absl::InitializeLog();
//     auto options = ringlog::OptionsFromFlags();
//     if (!options.ok()) ...
//     auto sink = ringlog::Install(*options);
//
// A flag goes before a variable, which goes before what the code says.

#ifndef RINGLOG_LOGSINK_FLAGS_H_
#define RINGLOG_LOGSINK_FLAGS_H_

#include "absl/status/statusor.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

// `defaults`, with what the flags say instead. A flag that is not given changes
// nothing. Of a value that is not allowed absl::ParseCommandLine() has said so,
// and has ended the program.
//
//   InvalidArgument  an option of the result, named as a flag, with its value
//                    and what is allowed: no directory is given anywhere,
//                    options do not fit each other, or `defaults` are not
//                    allowed
//
// Thread-safe.
absl::StatusOr<RingLogSinkOptions> OptionsFromFlags(
    RingLogSinkOptions defaults = {});

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_FLAGS_H_
