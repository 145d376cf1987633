// The recovery of a ring whose segments are in the output of `ringlog recover`.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_IN_PLACE_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_IN_PLACE_H_

#include <string>

#include "absl/status/statusor.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/ring_items.h"
#include "ringlog/ring/os/directory.h"

namespace ringlog {

// Adds the records of the ring at `path` to the segments in `output`, as
// RecoverLeftover() does, and deletes the ring. `read` is the ring on which the
// caller has decided, with its file open: another user may have put another
// ring, or another directory, at its path since.
//   Unavailable:     the ring at `path` is another one now; nothing was changed
//   InvalidArgument: the ring has another name than its header, or its path is
//                    a symlink; nothing was changed
//   Aborted:         the records are in segments, but another process has
//                    deleted or replaced the ring meanwhile
//   others:          those of OpenLeftover(), ReadLeftover() and
//                    AddToSegments(); the ring stays
absl::StatusOr<LeftoverReport> RecoverInPlace(const std::string& path,
                                              const LeftoverRing& read,
                                              Directory* output);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_IN_PLACE_H_
