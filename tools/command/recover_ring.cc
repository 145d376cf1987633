#include "ringlog/tools/command/recover_ring.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/tools/decode/segment_facts.h"

namespace ringlog {
namespace {

// Reports the segments with the numbers from `first` to `last` as missing.
void ReportRange(const std::string& ring_path, uint64_t first, uint64_t last,
                 Report* report) {
  if (first > last) return;
  report->Damage(ring_path,
                 absl::StrCat("its segments ", first, " to ", last,
                              " are not here; give their directory"));
}

void ReportMissingSegments(const std::string& ring_path,
                           const SegmentCursor& cursor,
                           const std::vector<FoundSegment>& segments,
                           Report* report) {
  const uint64_t last = cursor.last_started_segment();
  if (last == 0) return;
  // Segments before the first one were removed on purpose, by retention.
  uint64_t next = segments.empty() ? 1 : segments.front().identity.number;
  for (const FoundSegment& segment : segments) {
    ReportRange(ring_path, next, segment.identity.number - 1, report);
    next = segment.identity.number + 1;
  }
  ReportRange(ring_path, next, last, report);
  if (segments.empty() ||
      segments.back().identity.number != cursor.segment_number) {
    return;
  }
  const std::string& path = segments.back().input.path;
  const uint64_t bytes = FileBytes(path);
  if (bytes >= cursor.segment_bytes) return;
  report->Damage(path, absl::StrCat("[", bytes, "..", cursor.segment_bytes,
                                    "): truncated; the ring's cursor covers "
                                    "these bytes"));
}

}  // namespace

DecidedRing DecideRing(const LeftoverRing& ring,
                       std::vector<FoundSegment>* segments) {
  DecidedRing decided;
  decided.header = ring.ring->summary().header;
  decided.file_bytes = ring.source->size();
  decided.facts = RingFactsOf(ring.ring->summary());
  decided.point = DecideResumePoint(
      decided.facts,
      ReadSegmentFacts(decided.header, decided.facts, *segments));
  std::vector<FoundSegment> counted;
  for (size_t i = 0; i < segments->size(); ++i) {
    if (decided.point.segments[i].bytes != 0 ||
        (*segments)[i].identity.number <= decided.point.last_segment) {
      counted.push_back(std::move((*segments)[i]));
    }
  }
  *segments = std::move(counted);
  return decided;
}

void ReportMissing(const std::string& ring_path, const DecidedRing& ring,
                   const std::vector<FoundSegment>& segments, Report* report) {
  const bool is_truncated = ring.file_bytes < ring.header.file_bytes;
  if (!ring.point.cursor_is_damaged) {
    ReportMissingSegments(ring_path, ring.facts.cursor, segments, report);
  } else if (!is_truncated) {
    report->Damage(ring_path,
                   "the persist cursor is damaged; the segments decide which "
                   "records are only in the ring");
  }
  if (!is_truncated) return;
  report->Damage(ring_path,
                 absl::StrCat("[", ring.file_bytes, "..",
                              ring.header.file_bytes, "): truncated"));
}

}  // namespace ringlog
