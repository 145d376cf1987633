// A file that is a segment by its name or its first bytes, and whose it is.

#ifndef RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_
#define RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

struct FoundSegment {
  InputFile input;
  absl::Status status;  // of opening it; then input.bytes are those that it had
                        // after that
  bool has_metadata = false;
  // From the first metadata frame. Without one, only `number` is set, from the
  // file name.
  SegmentIdentity identity;
};

FoundSegment InspectSegment(const InputFile& input);

// Of segments whose metadata are cut off, the name has to do.
bool BelongsTo(const FoundSegment& segment, const RingId& id);

// Takes those that belong to `id` out of `segments`, in order of number.
std::vector<FoundSegment> TakeSegments(const RingId& id,
                                       std::vector<FoundSegment>* segments);

// The id of the ring `ring` whose header was rebuilt, so that only the CRC-32C
// of `rebuilt` is right: that of those of `segments` which have metadata and
// the same. If none has, one that begins as the ring's name says, for
// BelongsTo() to go by.
RingId IdOfRebuiltRing(const RingId& rebuilt, const InputFile& ring,
                       const std::vector<FoundSegment>& segments);

// As large as it is now. 0 if it is not there.
uint64_t FileBytes(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_
