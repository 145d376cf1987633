// Conversion of a sink's options into those of its ring and its flusher.

#ifndef RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_
#define RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_

#include "absl/status/statusor.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Returns `options` with absolute directories. An empty ring_directory becomes
// `directory`; an empty fallback_directory stays empty.
RingLogSinkOptions Resolved(RingLogSinkOptions options);

// Returns Resolved() options after a check.
//   InvalidArgument: as for CheckOptions(); or `fallback_directory` is
//                    `directory`, perhaps by a different path
absl::StatusOr<RingLogSinkOptions> CheckAndResolve(
    const RingLogSinkOptions& options);

// Returns the options of the fallback's pipeline. If the first pipeline has its
// ring next to its segments, so has the fallback's.
//
// Requires: the options are Resolved() and have a fallback_directory.
RingLogSinkOptions FallbackOptions(RingLogSinkOptions options);

// Require: the options are Resolved().
RingOptions ToRingOptions(const RingLogSinkOptions& options);
FlusherOptions ToFlusherOptions(const RingLogSinkOptions& options);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_
