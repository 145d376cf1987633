// A file that is a segment by its name or its first bytes, and whose it is.

#ifndef RINGLOG_TOOLS_FOUND_SEGMENT_H_
#define RINGLOG_TOOLS_FOUND_SEGMENT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/tools/inputs.h"

namespace ringlog {

struct FoundSegment {
  InputFile input;
  absl::Status status;  // of opening it; then input.bytes are those that it had
                        // after that
  bool has_metadata = false;
  RingId ring_id = {};  // if has_metadata
  uint64_t number = 0;
};

FoundSegment InspectSegment(const InputFile& input);

// Of segments whose metadata are cut off, the name has to do.
bool BelongsTo(const FoundSegment& segment, const RingId& id);

// As large as it is now. 0 if it is not there.
uint64_t FileBytes(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_FOUND_SEGMENT_H_
