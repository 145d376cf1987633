// Conversion of a sink's options into those of its ring, its flusher and its
// recovery.
//
// The functions are thread-safe.

#ifndef RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_
#define RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_

#include "absl/status/statusor.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Returns `options` with absolute directories, relative to the working
// directory of the process. An empty ring_directory becomes `directory`; an
// empty fallback_directory stays empty.
RingLogSinkOptions Resolved(RingLogSinkOptions options);

// Returns Resolved() options after a check.
//   InvalidArgument: as for CheckOptions(); or fallback_directory and
//                    `directory` are paths of the same directory
absl::StatusOr<RingLogSinkOptions> CheckAndResolve(
    const RingLogSinkOptions& options);

// Returns the options of the fallback's pipeline: its `directory` is
// fallback_directory. If ring_directory is `directory`, it becomes
// fallback_directory too.
//
// Requires: the options are Resolved() and have a fallback_directory.
RingLogSinkOptions FallbackOptions(RingLogSinkOptions options);

// Return the options of the ring; of the flusher without on_write and
// on_ring_lost; and of the recovery of both directories, whether the fallback
// is in use or not. Their rings may also be in /dev/shm
// (shared_memory_directory.h).
//
// Require: the options are Resolved().
RingOptions ToRingOptions(const RingLogSinkOptions& options);
FlusherOptions ToFlusherOptions(const RingLogSinkOptions& options);
BackgroundRecovery::Options ToRecoveryOptions(
    const RingLogSinkOptions& options);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_RESOLVED_OPTIONS_H_
