// Finds the metadata frame that identifies the segment in a file.

#ifndef RINGLOG_COMPRESS_SEGMENT_IDENTIFY_SEGMENT_H_
#define RINGLOG_COMPRESS_SEGMENT_IDENTIFY_SEGMENT_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"

namespace ringlog {

// Returns the first metadata frame of `file`, read up to `limit`. Returns
// nullopt if no metadata frame identifies the segment, for example because the
// first frame is truncated.
//
// A message may contain metadata frames. Therefore this function accepts, in
// this order:
//
// 1. the first metadata frame that the frames' headers lead to, one frame after
//    the other from byte 0
// 2. if a frame is damaged, or the limit is inside a block of it: a later
//    metadata frame with a recorded frame size that matches the begin of this
//    frame
// 3. if the metadata frame after a frame with its end is damaged: the metadata
//    frame of the frame that follows. A frame that lost its checksum flag seems
//    to end before its checksum
// 4. if nothing before the damage is intact: any metadata frame with its frame
//    before it and another frame after it
//
// In the cases 2 to 4, the ring id and the number must also match the name of
// the file, if that is the name of a segment.
std::optional<FrameMetadata> IdentifySegment(const SegmentFile& file,
                                             uint64_t limit);

// Returns true if a metadata frame identifies `file` as a segment of a ring
// other than `ring_id`.
//   Unimplemented: the metadata frame of the first frame has a format version
//                  that this code does not know; the file must not be changed
absl::StatusOr<bool> BelongsToAnotherRing(const SegmentFile& file,
                                          const RingId& ring_id);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_IDENTIFY_SEGMENT_H_
