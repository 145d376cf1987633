// The options of a sink from environment variables, so that who starts a
// program can set them without a rebuild and without a command line.
//
//   RINGLOG_DIRECTORY=/var/log/server RINGLOG_RING_BYTES=64MiB ./server
//
// For each option that can be written as text there is a variable: RINGLOG_ and
// the option's name in capitals, with _ for a dot. Its value: a size is a
// number of bytes, or of KiB, MiB or GiB with that unit behind it; a duration
// is one of absl::ParseDuration(); an enum is a name ("drop_newest", "json",
// "WARNING"), in any case of letters; an option that is on or off is true or
// false.
//
// A flag (logsink/flags.h) goes before a variable, which goes before what the
// code says:
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

// `defaults`, with what the variables say instead. One that is empty counts as
// not set; one that no option has the name of is ignored, for it may be a later
// version's.
//
//   InvalidArgument  a variable, named with its value and what is allowed, or
//                    an option of `defaults` that does not fit the variables.
//                    A flag cannot mend that: it comes later
//
// No other thread may change the environment meanwhile.
absl::StatusOr<RingLogSinkOptions> OptionsFromEnvironment(
    RingLogSinkOptions defaults);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_ENVIRONMENT_H_
