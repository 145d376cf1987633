// Repair of a segment that is damaged or not closed, without its ring. If there
// is a ring, recovery (leftover_recovery.h) uses its persist cursor instead.
//
// The functions are thread-safe.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_REPAIR_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_REPAIR_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "ringlog/compress/segment/segment_index.h"

namespace ringlog {

// Creates the closed segment `to` from all readable records of `from`. Copies
// intact frames. Writes new frames for the records of the other frames, and
// marks the new frames as recovered. Gives the file the permissions of `from`,
// less the umask. Syncs the file, but not its name. After an error, `to` may be
// incomplete.
// Requires: `index` is the result of BuildSegmentIndex(from).
//   AlreadyExists: `to` exists
//   DataLoss:      `from` has become shorter
//   Internal:      zstd failed
//   others:        those of SegmentReader::Open(), open(2), read(2), write(2)
//                  and fdatasync(2), with the path
absl::Status RepairSegment(const std::string& from, const SegmentIndex& index,
                           const std::string& to);

// Creates the file `to` with the first `limit_bytes` bytes of `from`, or with
// all its bytes if there are fewer. Gives the file those permissions of `from`
// that are in `mode`, less the umask. Syncs the file, but not its name. After
// an error, `to` may be incomplete.
//   AlreadyExists: `to` exists
//   others:        those of open(2), read(2), write(2) and fdatasync(2), with
//                  the path
absl::Status CopySegment(const std::string& from, uint64_t limit_bytes,
                         mode_t mode, const std::string& to);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_REPAIR_H_
