// FailureWriter
//
// Brings what Abseil's failure signal handler has to say, the signal and the
// stack, into the log:
//
//   absl::StatusOr<ringlog::RingLogSink*> sink = ringlog::Install(options);
//   absl::FailureSignalHandlerOptions handler;
//   handler.writerfn = &ringlog::FailureWriter;
//   absl::InstallFailureSignalHandler(handler);
//
// The report is the last record of the process, of severity FATAL, from
// "signal:11". `ringlog cat` shows it at once; the next start, or who lives
// meanwhile, moves it into a segment, with what else the ring holds.

#ifndef RINGLOG_LOGSINK_FAILURE_WRITER_H_
#define RINGLOG_LOGSINK_FAILURE_WRITER_H_

namespace ringlog {

// Adds `text` to the calling thread's report, or ends it, if `text` is nullptr.
// Does nothing before Install(), and in a forked child that has no ring of its
// own. Where the ring has no file, the report is lost with it: so it is when
// the file has been deleted, by RingLogSink::Close() or by the very last steps
// of exit(), which leave none behind. Such a report is on stderr alone, where
// Abseil writes each.
//
// The report has its own place in the ring's file, of 64 KiB: it does not
// matter whether the ring is full, or whether the signal interrupted a LOG().
// Threads that crash at once have a report each. What does not fit is cut, and
// the record says so.
//
// Context: any thread, also in a signal handler on an alternate stack: no lock,
// no allocation, no system call but getpid(2), gettid(2) and clock_gettime(2).
void FailureWriter(const char* text);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_FAILURE_WRITER_H_
