#include "ringlog/tools/decode/boundary.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/recovery/segment_scan.h"
#include "ringlog/compress/segment/segment_resume.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

// What the frame that is open at the cursor has to be, only the cursor says.
void LeaveDamagedFrame(const SegmentCursor& cursor,
                       const std::vector<FoundSegment>& segments,
                       Report* report, Boundary* boundary) {
  for (const FoundSegment& segment : segments) {
    if (segment.number != cursor.segment_number) continue;
    const std::string& path = segment.input.path;
    const absl::Status checked = CheckOpenFrame(path, cursor);
    if (checked.ok()) boundary->open_frame_begin = cursor.frame_offset;
    if (!absl::IsDataLoss(checked)) continue;
    report->Damage(
        path, absl::StrCat("[", cursor.frame_offset, "..", cursor.segment_bytes,
                           "): not what the ring's cursor says was written; it "
                           "had the positions ",
                           cursor.open_frame.first_position, " to ",
                           cursor.open_frame.end_position - 1));
    boundary->last_bytes = cursor.frame_offset;
    boundary->last_end_position = cursor.open_frame.first_position;
  }
}

// The disk may have the ring's pages of different moments, and a cursor that is
// older than the segments. True if they prove more than it says.
bool AdvanceBoundary(const RingImage& image, const SegmentCursor& cursor,
                     const std::vector<FoundSegment>& segments,
                     Boundary* boundary) {
  const uint64_t cursor_end = image.cursor().end_position;
  DropCounts drops = cursor.reported_drops;
  uint64_t end = cursor_end;
  for (const FoundSegment& found : segments) {
    if (found.number < cursor.segment_number) continue;
    const absl::StatusOr<ScannedSegment> segment = SurveySegment(
        image.header(), found.input.path, found.number, cursor_end);
    if (!segment.ok()) continue;  // whoever reads it says so
    AddDrops(segment->drops, &drops);
    if (segment->end_position <= end) continue;
    end = segment->end_position;
    boundary->last_number = segment->number;
    boundary->last_bytes = segment->proven_bytes;
    boundary->last_end_position = segment->end_position;
  }
  if (end == cursor_end) return false;
  boundary->from = RecoverFrom::kCursor;
  boundary->first_position = end;
  boundary->overlaps = false;
  boundary->any_segment = true;
  boundary->reported_drops = drops;
  return true;
}

}  // namespace

bool HidesSegments(const RingImage& image,
                   const std::vector<FoundSegment>& segments) {
  return image.cursor_kind() == CursorKind::kNone &&
         std::any_of(segments.begin(), segments.end(),
                     [](const FoundSegment& segment) {
                       return segment.has_metadata || segment.number > 1;
                     });
}

Boundary FindBoundary(const std::string& ring_path, const RingImage& image,
                      const std::vector<FoundSegment>& segments,
                      Report* report) {
  Boundary boundary;
  const bool hides = HidesSegments(image, segments);
  if (image.cursor_kind() == CursorKind::kNone && !hides) {
    boundary.any_segment = false;
    return boundary;
  }
  boundary.from = RecoverFrom::kEverything;
  boundary.overlaps = true;
  if (image.cursor_kind() == CursorKind::kDamaged || hides) {
    // Of a ring that was cut in front of it this has been said already.
    if (image.file_bytes() == image.header().file_bytes) {
      report->Damage(ring_path,
                     "the persist cursor is damaged; what is in the ring and "
                     "in its segments is told apart by the segments");
    }
    return boundary;
  }
  const PersistCursor& published = image.cursor();
  absl::StatusOr<SegmentCursor> cursor = DecodeSegmentCursor(absl::string_view(
      reinterpret_cast<const char*>(published.state), published.state_bytes));
  if (!cursor.ok()) {
    report->Damage(ring_path, absl::StrCat("the persist cursor's state: ",
                                           cursor.status().message()));
    return boundary;
  }
  // A segment is named before it is made: with no bytes it need not be there.
  const bool has_bytes = cursor->segment_bytes != 0;
  boundary.last_number = cursor->segment_number - (has_bytes ? 0 : 1);
  boundary.last_bytes = has_bytes ? cursor->segment_bytes : kWholeFile;
  boundary.last_end_position = has_bytes ? published.end_position : 0;
  boundary.any_segment = has_bytes || cursor->segment_number > 1;
  // Where the last one is not, or not all of it, the ring may still have some
  // of what it had.
  const bool is_there = std::any_of(
      segments.begin(), segments.end(), [&](const FoundSegment& segment) {
        return segment.number == cursor->segment_number &&
               FileBytes(segment.input.path) >= cursor->segment_bytes;
      });
  if (is_there || !has_bytes) {
    boundary.from = RecoverFrom::kCursor;
    boundary.overlaps = false;
    boundary.reported_drops = cursor->reported_drops;
  }
  if (image.is_of_another_boot() &&
      AdvanceBoundary(image, *cursor, segments, &boundary)) {
    return boundary;
  }
  LeaveDamagedFrame(*cursor, segments, report, &boundary);
  return boundary;
}

}  // namespace ringlog
