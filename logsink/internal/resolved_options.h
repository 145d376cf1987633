// What the options of a sink mean to its ring and its flusher.

#ifndef RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_
#define RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_

#include "absl/status/statusor.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// All directories absolute; none empty, but that for the fallback may be.
RingLogSinkOptions Resolved(RingLogSinkOptions options);

// Resolved(), if it is right.
//   InvalidArgument: as CheckOptions(); or fallback_directory is directory, be
//   it by another name
absl::StatusOr<RingLogSinkOptions> CheckAndResolve(
    const RingLogSinkOptions& options);

// Of the log for the fallback, of what Resolved() returned: its ring goes where
// the segments go if that of the other one does. Requires: there is one.
RingLogSinkOptions FallbackOptions(RingLogSinkOptions options);

// Of what Resolved() returned.
RingOptions ToRingOptions(const RingLogSinkOptions& options);
FlusherOptions ToFlusherOptions(const RingLogSinkOptions& options);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_
