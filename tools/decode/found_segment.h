// A file that is a segment by its name or its first bytes, and its identity.

#ifndef RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_
#define RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

struct FoundSegment {
  InputFile input;
  // Result of opening the file. On an error, input.bytes is the length after
  // that.
  absl::Status status;
  bool has_metadata = false;
  // Identity from the first metadata frame. Without one, only `number` is set,
  // from the file name.
  SegmentIdentity identity;
};

// Returns true if the file of user `owner` may decide about the meaning of a
// file of user `other`: if the users are the same, or if `owner` is root or the
// user of this process.
bool IsTrusted(uid_t owner, uid_t other);

// Opens the file and reads its identity.
FoundSegment InspectSegment(const InputFile& input);

// Returns true if the segment belongs to the ring `id`. For a segment without
// metadata, compares the name.
bool BelongsTo(const FoundSegment& segment, const RingId& id);

// Moves the segments for which `is_its` returns true out of `segments`. Returns
// them sorted by number.
std::vector<FoundSegment> TakeSegments(
    std::vector<FoundSegment>* segments,
    absl::FunctionRef<bool(const FoundSegment&)> is_its);

// Moves the segments of one process without a ring out of `segments`: those
// with the ring id, the owner and the process's name of the first segment with
// metadata, and those with this id and owner and other names. Returns them
// sorted by number. Returns nothing if no segment has metadata.
std::vector<FoundSegment> TakeSegmentsOfOneProcess(
    std::vector<FoundSegment>* segments);

// Returns the id of the ring `ring`, whose header was rebuilt. Only the CRC-32C
// of `rebuilt` is right, so:
//   1. If the metadata of a segment has an id with that CRC-32C, and the ring
//      may own the segment (IsTrusted()), returns this id.
//   2. Otherwise returns an id with that CRC-32C and the prefix in the ring's
//      name, which is enough for BelongsTo().
RingId IdOfRebuiltRing(const RingId& rebuilt, const InputFile& ring,
                       const std::vector<FoundSegment>& segments);

// Returns the present length of the file; 0 if it does not exist.
uint64_t FileBytes(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_
