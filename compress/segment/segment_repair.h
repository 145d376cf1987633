// A segment that was not closed, or is damaged -> one that is closed, with all
// that can be read of it. What it is not: recovery, which has the ring and
// knows where a segment ends (leftover.h).

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_REPAIR_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_REPAIR_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "ringlog/compress/segment/segment_index.h"

namespace ringlog {

// Writes `to`, a new file, with the frames of `content`, which is that of
// `from`, and a seek table. Frames that are made anew say that recovery closed
// them. Durable when it returns, but for the file's name.
//   DataLoss: `from` has become shorter
//   others:   those of open(2), read(2), write(2) and fdatasync(2), with the
//             path
absl::Status RepairSegment(const std::string& from, const SegmentIndex& content,
                           const std::string& to);

// Writes `to`, a new file, with the first `limit_bytes` of `from`, or what it
// has of them. Durable when it returns, but for the name. The same errors.
absl::Status CopySegment(const std::string& from, uint64_t limit_bytes,
                         const std::string& to);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_REPAIR_H_
