// What the library itself has to say.

#ifndef RINGLOG_RING_OS_STDERR_LOG_H_
#define RINGLOG_RING_OS_STDERR_LOG_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// Writes "ringlog: WHAT" to the descriptor of stderr: not by LOG, which may be
// what is not working, nor by stdio, which may be locked. One line a minute,
// for the whole process; the next one says how many there would have been.
// Never ends the process, nor waits for who reads a pipe, a socket or a
// terminal: if nobody does, the line is lost. Any thread.
void WarnRateLimited(absl::string_view what);

// The same of what is lost for good, which no limit may hold back: callers see
// to it that it is rare.
void WarnDataLoss(absl::string_view what);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_STDERR_LOG_H_
