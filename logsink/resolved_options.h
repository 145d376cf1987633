// What the options of a sink mean to its ring and its flusher.

#ifndef RINGLOG_LOGSINK_RESOLVED_OPTIONS_H_
#define RINGLOG_LOGSINK_RESOLVED_OPTIONS_H_

#include "ringlog/compress/flusher.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Both directories absolute, neither empty.
RingLogSinkOptions Resolved(RingLogSinkOptions options);

// Of what Resolved() returned.
RingOptions ToRingOptions(const RingLogSinkOptions& options);
FlusherOptions ToFlusherOptions(const RingLogSinkOptions& options);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_RESOLVED_OPTIONS_H_
