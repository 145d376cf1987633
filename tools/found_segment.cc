#include "ringlog/tools/found_segment.h"

#include <sys/stat.h>

#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_reader.h"

namespace ringlog {

bool BelongsTo(const FoundSegment& segment, const RingId& id) {
  if (segment.has_metadata) return segment.ring_id == id;
  return segment.input.name.kind == FileKind::kSegment &&
         segment.input.name.ring_id_prefix == RingIdPrefix(id);
}

uint64_t FileBytes(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

FoundSegment InspectSegment(const InputFile& input) {
  FoundSegment segment;
  segment.input = input;
  segment.number = input.name.segment_number;
  auto reader = SegmentReader::Open(input.path);
  if (!reader.ok()) {
    // Segments only grow: one that is empty now was empty then.
    segment.input.bytes = FileBytes(input.path);
    segment.status = reader.status();
  } else if (const FrameMetadata* first = (*reader)->first_metadata()) {
    segment.has_metadata = true;
    segment.ring_id = first->ring_id;
    segment.number = first->segment_number;
  }
  return segment;
}

}  // namespace ringlog
