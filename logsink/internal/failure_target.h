// Where FailureWriter() writes: the crash area of the ring that the process
// logs into.

#ifndef RINGLOG_LOGSINK_INTERNAL_FAILURE_TARGET_H_
#define RINGLOG_LOGSINK_INTERNAL_FAILURE_TARGET_H_

#include "ringlog/ring/crash_area.h"

namespace ringlog {

// From now on; a forked child keeps it, and writes nothing there until it sets
// its own. `area` must live as long as the process; nullptr: nowhere.
// Thread-safe.
void SetFailureTarget(const CrashArea* area);

// The same, if `from` is what is set: when the process goes to another ring.
void ReplaceFailureTarget(const CrashArea* from, const CrashArea* to);

// nullptr if there is none, or if it is another process's.
//
// Context: any thread, also in a signal handler.
const CrashArea* FailureTarget();

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_FAILURE_TARGET_H_
