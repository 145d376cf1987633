// Reads the counters of a ring, and adds those of two rings.

#ifndef RINGLOG_LOGSINK_INTERNAL_READ_COUNTERS_H_
#define RINGLOG_LOGSINK_INTERNAL_READ_COUNTERS_H_

#include "ringlog/logsink/counters.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Returns the counters of `ring` and its flusher.
//
// Context: any thread; no lock.
RingLogSinkCounters ReadCounters(const Ring& ring);

// Adds `counters` to `*sum`. Fields that cannot be added become
//
//   lag              the greater one
//   last_write_time  the later one
//   last_error       that of `*sum`; if `*sum` has none, that of `counters`
void AddCounters(const RingLogSinkCounters& counters, RingLogSinkCounters* sum);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_READ_COUNTERS_H_
