// One leftover ring's way into its segments.

#ifndef RINGLOG_COMPRESS_RECOVERY_LEFTOVER_SEGMENTS_H_
#define RINGLOG_COMPRESS_RECOVERY_LEFTOVER_SEGMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/recovery.h"

namespace ringlog {

struct LeftoverReport {
  std::string ring_path;
  std::string segment_path;  // that got the records; empty if there were none
  uint64_t records = 0;      // that were only in the ring
  std::vector<Gap> gaps;     // by which others are missing
};

// What the ring's persist cursor says of its segments; zeros if there is none.
//   those of DecodeSegmentCursor()
absl::StatusOr<SegmentCursor> CursorOf(const RecoveredRing& ring);

// Whether the cursor alone says what counts of the segments. If not, all of
// them have to be there for AddToSegments(), whole: they say it.
bool CursorDecides(const RecoveredRing& ring);

// Cuts and closes the segment in `directory` that the cursor of `ring` names,
// with the ring's records behind it, or in the next one if that segment has
// gone or is damaged; durable when it returns. Done again after a kill at any
// moment, the result is the same. Tells all but the ring's path.
absl::Status AddToSegments(const RecoveredRing& ring,
                           const std::string& directory,
                           const SegmentWriterOptions& options,
                           LeftoverReport* report);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_SEGMENTS_H_
