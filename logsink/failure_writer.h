// FailureWriter
//
// Writes the report of Abseil's failure signal handler, which has the signal
// and the stack, into the log:
//
//   absl::StatusOr<ringlog::RingLogSink*> sink = ringlog::Install(options);
//   absl::FailureSignalHandlerOptions handler;
//   handler.writerfn = &ringlog::FailureWriter;
//   absl::InstallFailureSignalHandler(handler);
//
// The report is the last record of the process, with severity FATAL and source
// location "signal:11". `ringlog cat` prints it at once. Recovery moves it into
// a segment together with the other records of the ring.

#ifndef RINGLOG_LOGSINK_FAILURE_WRITER_H_
#define RINGLOG_LOGSINK_FAILURE_WRITER_H_

namespace ringlog {

// Appends `text` to the crash report of the calling thread, or ends the report
// if `text` is nullptr. Does nothing before Install(), and in a forked child
// that has no ring yet.
//
// The report has 64 KiB of its own in the ring's file. It does not depend on
// room in the ring, nor on a LOG() that the signal interrupted. Threads that
// crash at the same time have separate reports. A report that does not fit is
// truncated, and its record states the number of missing bytes.
//
// The report is lost if the ring has no file: the ring is in memory, or its
// file was deleted by Close() or late in exit(). Abseil writes each report to
// stderr too.
//
// Context: any thread, also in a signal handler on an alternate stack; no lock,
// no allocation, no system call except getpid(2), gettid(2) and
// clock_gettime(2).
void FailureWriter(const char* text);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_FAILURE_WRITER_H_
