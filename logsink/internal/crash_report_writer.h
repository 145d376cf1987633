// Writes crash reports into the ring that receives the records of this process.

#ifndef RINGLOG_LOGSINK_INTERNAL_CRASH_REPORT_WRITER_H_
#define RINGLOG_LOGSINK_INTERNAL_CRASH_REPORT_WRITER_H_

#include "absl/strings/string_view.h"
#include "ringlog/ring/crash_area.h"

namespace ringlog {

// Makes crash reports go to `area`, which must live as long as the process. If
// `area` is null, reports are not stored. A forked child writes no report until
// it has set its own area. Thread-safe.
void SetCrashArea(const CrashArea* area);

// Makes crash reports go to `to` if they go to `from`. `to` must live as long
// as the process. Called when another ring receives new records. Thread-safe.
void ReplaceCrashArea(const CrashArea* from, const CrashArea* to);

// Appends `text` to the report of the calling thread, or ends that report. Do
// nothing if no area is set, or if it was set by another process.
//
// Context: any thread, also in a signal handler; no lock, no allocation, no
// system call except getpid(2), gettid(2) and clock_gettime(2).
void AppendToCrashReport(absl::string_view text);
void EndCrashReport();

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_CRASH_REPORT_WRITER_H_
