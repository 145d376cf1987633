// Moves the records of one leftover ring into segments.

#ifndef RINGLOG_COMPRESS_RECOVERY_LEFTOVER_SEGMENTS_H_
#define RINGLOG_COMPRESS_RECOVERY_LEFTOVER_SEGMENTS_H_

#include "absl/status/status.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/recovery/ring_items.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/ring_recovery.h"

namespace ringlog {

// Returns the facts about a ring for DecideResumePoint(). Reads the boot id of
// this machine.
RingFacts RingFactsOf(const RingSummary& ring);

// Applies DecideResumePoint() to the ring and to its segments in `directory`:
//   1. If the machine died, truncates segments to the bytes that count and
//      deletes later ones.
//   2. Appends the ring's records to the last segment, or to a new one if that
//      segment is missing, damaged or closed.
//   3. Closes the segment and makes it durable.
// This is the only code that changes the existing segments of a leftover ring.
// If it is killed at any moment and called again, the result is the same. After
// an error, deletes the segment that it began. Sets all members of `report` but
// the ring's path.
// Touches only files that OpenOwnSegment() (own_segment.h) returns. A number
// whose file it refuses is not used.
//   those of DecodeSegmentCursor(): a later version wrote the cursor, or its
//                                   state is damaged; nothing was changed
//   Aborted:                        another process deleted or replaced the
//                                   segment meanwhile
//   others:                         those of ScanSegments(), of RingRecovery,
//                                   and of opening, reading and writing
//                                   segments
// Requires: `ring` is before its first item.
absl::Status AddToSegments(RingRecovery* ring, Directory* directory,
                           const SegmentWriterOptions& options,
                           LeftoverReport* report);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_SEGMENTS_H_
