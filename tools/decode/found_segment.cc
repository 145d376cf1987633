#include "ringlog/tools/decode/found_segment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header_scan.h"

namespace ringlog {
namespace {

// Returns the CRC-32C with which the checksums of the ring begin.
absl::crc32c_t Seed(const RingId& id) {
  return absl::ComputeCrc32c(
      absl::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
}

}  // namespace

bool IsTrusted(uid_t owner, uid_t other) {
  return owner == other || owner == 0 || owner == geteuid();
}

bool BelongsTo(const FoundSegment& segment, const RingId& id) {
  if (segment.has_metadata) return segment.identity.ring_id == id;
  return segment.input.name.kind == FileKind::kSegment &&
         segment.input.name.ring_id_prefix == RingIdPrefix(id);
}

std::vector<FoundSegment> TakeSegments(
    std::vector<FoundSegment>* segments,
    absl::FunctionRef<bool(const FoundSegment&)> is_its) {
  const auto taken = std::stable_partition(
      segments->begin(), segments->end(),
      [&](const FoundSegment& segment) { return !is_its(segment); });
  std::vector<FoundSegment> found(std::make_move_iterator(taken),
                                  std::make_move_iterator(segments->end()));
  segments->erase(taken, segments->end());
  std::stable_sort(found.begin(), found.end(),
                   [](const FoundSegment& a, const FoundSegment& b) {
                     return a.identity.number < b.identity.number;
                   });
  return found;
}

std::vector<FoundSegment> TakeSegmentsOfOneProcess(
    std::vector<FoundSegment>* segments) {
  const auto first = std::find_if(
      segments->begin(), segments->end(),
      [](const FoundSegment& segment) { return segment.has_metadata; });
  if (first == segments->end()) return {};
  const RingId id = first->identity.ring_id;
  const uid_t owner = first->input.owner;
  // The first name of a process; other names prove nothing.
  const auto named = std::find_if(
      segments->begin(), segments->end(), [&](const FoundSegment& segment) {
        return segment.input.name.kind == FileKind::kSegment &&
               segment.input.owner == owner && BelongsTo(segment, id);
      });
  const ParsedFileName name =
      named == segments->end() ? ParsedFileName() : named->input.name;
  return TakeSegments(segments, [&](const FoundSegment& segment) {
    const ParsedFileName& other = segment.input.name;
    return segment.input.owner == owner && BelongsTo(segment, id) &&
           (other.kind != FileKind::kSegment ||
            (other.process_id == name.process_id && other.host == name.host &&
             other.program == name.program));
  });
}

RingId IdOfRebuiltRing(const RingId& rebuilt, const InputFile& ring,
                       const std::vector<FoundSegment>& segments) {
  for (const FoundSegment& segment : segments) {
    if (segment.has_metadata && IsTrusted(ring.owner, segment.input.owner) &&
        Seed(segment.identity.ring_id) == Seed(rebuilt)) {
      return segment.identity.ring_id;
    }
  }
  RingHeader header = {};
  for (size_t i = 0; i < sizeof ring.name.ring_id_prefix; ++i) {
    header.ring_id[i] =
        static_cast<uint8_t>(ring.name.ring_id_prefix >> (24 - 8 * i));
  }
  SetChecksumSeed(Seed(rebuilt), header.ring_id);
  return RingIdOf(header);
}

uint64_t FileBytes(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

FoundSegment InspectSegment(const InputFile& input) {
  FoundSegment segment;
  segment.input = input;
  segment.identity.number = input.name.segment_number;
  auto reader = SegmentReader::Open(input.path);
  if (!reader.ok()) {
    // Segments only grow: a segment that is empty now was empty before.
    segment.input.bytes = FileBytes(input.path);
    segment.status = reader.status();
  } else if (const FrameMetadata* first = (*reader)->first_metadata()) {
    segment.has_metadata = true;
    segment.identity = first->identity;
  }
  return segment;
}

}  // namespace ringlog
