// What a failed call on a log file becomes.

#ifndef RINGLOG_RING_OS_FILE_STATUS_H_
#define RINGLOG_RING_OS_FILE_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ringlog {

// absl::ErrnoToStatus(), but NotFound is ENOENT and nothing else: callers take
// it for a file that somebody has deleted, and go on without it. What that
// makes of a device that has gone, the file on it included, is Unavailable
// here.
absl::Status FileStatus(int error, absl::string_view message);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FILE_STATUS_H_
