#include "ringlog/tools/decode/segment_facts.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/recovery/segment_scan.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_resume.h"

namespace ringlog {

std::vector<SegmentFacts> KnownSegmentFacts(
    const std::vector<FoundSegment>& segments) {
  std::vector<SegmentFacts> facts(segments.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    facts[i].number = segments[i].identity.number;
    facts[i].has_metadata = segments[i].has_metadata;
    facts[i].is_readable = segments[i].status.ok();
  }
  return facts;
}

std::vector<SegmentFacts> ReadSegmentFacts(
    const RingHeader& header, const RingFacts& ring,
    const std::vector<FoundSegment>& segments) {
  const ScanNeed need = NeededScan(ring);
  const SegmentCursor& cursor = ring.cursor;
  std::vector<SegmentFacts> facts = KnownSegmentFacts(segments);
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string& path = segments[i].input.path;
    const uint64_t number = segments[i].identity.number;
    const bool is_scanned = need.for_proof && number >= need.first_number;
    const bool is_of_cursor =
        cursor.names_started_segment() && number == cursor.segment_number;
    if (!is_scanned && !is_of_cursor) continue;
    // Opened once: another user may replace the file meanwhile.
    absl::StatusOr<SegmentFile> file =
        OpenFoundFile(path, segments[i].input.owner);
    const uint64_t bytes = file.ok() ? file->opened_bytes() : FileBytes(path);
    const absl::Status open_frame = !is_of_cursor ? absl::OkStatus()
                                    : file.ok() ? CheckOpenFrame(*file, cursor)
                                                : file.status();
    if (is_scanned) {
      absl::StatusOr<SegmentFacts> scanned =
          file.ok() ? ScanSegment(header, *std::move(file), number,
                                  ring.cursor_end_position)
                    : file.status();
      facts[i].is_readable = scanned.ok();
      if (scanned.ok()) facts[i] = *std::move(scanned);
      facts[i].has_metadata = segments[i].has_metadata;
    }
    facts[i].bytes = bytes;
    if (is_of_cursor) {
      facts[i].open_frame_is_damaged = absl::IsDataLoss(open_frame);
      facts[i].open_frame_is_proven = open_frame.ok();
    }
  }
  return facts;
}

}  // namespace ringlog
