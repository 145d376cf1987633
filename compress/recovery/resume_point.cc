#include "ringlog/compress/recovery/resume_point.h"

#include <algorithm>

#include "absl/strings/string_view.h"

namespace ringlog {
namespace {

using Basis = ResumePoint::Basis;

bool IsOwn(const SegmentFacts& segment) {
  return segment.standing == SegmentFacts::Standing::kOwn;
}

// The position from which the newest intact cursor leaves records to the ring.
uint64_t CursorEnd(const RingFacts& ring) {
  return std::max(ring.first_position, ring.cursor_end_position);
}

// The bytes of segment N that the cursor counts.
CountedSegment CountByCursor(const RingFacts& ring, bool has_open_frame) {
  const SegmentCursor& cursor = ring.cursor;
  if (has_open_frame) {
    return {cursor.segment_number, cursor.segment_bytes,
            ring.cursor_end_position};
  }
  return {cursor.segment_number, cursor.frame_offset,
          cursor.open_frame.first_position};
}

// Sets `next_segment` to the first number from `number` on that no foreign file
// has.
void SetNextSegment(uint64_t number, absl::Span<const SegmentFacts> segments,
                    ResumePoint* point) {
  for (const SegmentFacts& segment : segments) {
    if (!IsOwn(segment) && segment.number == number) ++number;
  }
  point->next_segment = number;
}

// Rows 3, 7 and 8.
ResumePoint DecideByCursor(const RingFacts& ring,
                           absl::Span<const SegmentFacts> segments) {
  const SegmentCursor& cursor = ring.cursor;
  const bool has_cursor = ring.cursor_end_position != 0 ||
                          cursor.segment_number != 0 ||
                          ring.cursor_state == CursorState::kIntact;
  ResumePoint point;
  point.basis = has_cursor ? Basis::kCursor : Basis::kNothingPersisted;
  point.first_position = CursorEnd(ring);
  point.reported_drops = cursor.reported_drops;
  const bool is_started = cursor.names_started_segment();
  bool is_there = false;
  for (const SegmentFacts& segment : segments) {
    if (!IsOwn(segment) || segment.number != cursor.segment_number) continue;
    is_there |= is_started && segment.bytes >= cursor.segment_bytes;
    point.lost_open_frame |= is_started && segment.open_frame_is_damaged;
  }
  const CountedSegment named = CountByCursor(ring, !point.lost_open_frame);
  for (const SegmentFacts& segment : segments) {
    CountedSegment counted = {segment.number, kAllBytes, 0};
    if (!IsOwn(segment) || segment.number > cursor.last_started_segment()) {
      counted.bytes = 0;
    } else if (is_started && segment.number == cursor.segment_number) {
      counted = named;
    }
    point.segments.push_back(counted);
  }
  point.overlaps = is_started && !is_there;
  point.last_segment = cursor.last_started_segment();
  point.last_bytes = is_started                ? named.bytes
                     : point.last_segment != 0 ? kAllBytes
                                               : 0;
  point.continues_last = is_there && !point.lost_open_frame;
  SetNextSegment(point.last_segment + 1, segments, &point);
  return point;
}

// Row 6. `last` is the last segment with a proven frame that ends above the
// cursor.
ResumePoint DecideByProof(const RingFacts& ring,
                          absl::Span<const SegmentFacts> segments,
                          const SegmentFacts& last) {
  const SegmentCursor& cursor = ring.cursor;
  ResumePoint point;
  point.basis = Basis::kProvenFrames;
  point.reported_drops = cursor.reported_drops;
  point.last_segment = last.number;
  point.last_bytes = last.is_complete ? kAllBytes : last.proven_bytes;
  point.continues_last = !last.is_complete;
  for (const SegmentFacts& segment : segments) {
    CountedSegment counted = {segment.number, kAllBytes, 0};
    if (!IsOwn(segment) || segment.number > last.number) {
      counted.bytes = 0;
    } else if (segment.number == last.number) {
      counted.bytes = point.last_bytes;
      counted.end_position = last.end_position;
    } else if (segment.number >= cursor.segment_number && !segment.is_closed &&
               segment.is_readable) {
      counted.bytes = segment.proven_bytes;
      counted.end_position = segment.end_position;
      if (segment.number == cursor.segment_number &&
          segment.proven_bytes < cursor.segment_bytes) {
        counted = CountByCursor(ring, !segment.open_frame_is_damaged);
        point.lost_open_frame |= segment.open_frame_is_damaged;
      }
    }
    point.segments.push_back(counted);
    if (!IsOwn(segment) || segment.number < cursor.segment_number) continue;
    point.first_position = std::max(point.first_position, segment.end_position);
    AddDrops(segment.drops, &point.reported_drops);
  }
  SetNextSegment(last.number + 1, segments, &point);
  return point;
}

// Rows 1, 2, 4 and 5.
ResumePoint DecideBySegments(const RingFacts& ring,
                             absl::Span<const SegmentFacts> segments) {
  ResumePoint point;
  point.basis = Basis::kSegmentsAlone;
  point.first_position = CursorEnd(ring);
  point.overlaps = true;
  point.reported_drops = ring.cursor.reported_drops;
  for (const SegmentFacts& segment : segments) {
    if (!IsOwn(segment)) {
      point.segments.push_back({segment.number, 0, 0});
      continue;
    }
    point.segments.push_back({segment.number, kAllBytes, 0});
    point.last_segment = std::max(point.last_segment, segment.number);
    point.last_bytes = kAllBytes;
    point.first_position = std::max(point.first_position, segment.end_position);
    if (segment.is_recovered) point.basis = Basis::kAlreadyRecovered;
  }
  SetNextSegment(point.last_segment + 1, segments, &point);
  return point;
}

// The last segment with a proven frame that ends above the cursor; nullptr if
// there is none.
const SegmentFacts* FindLastProven(const RingFacts& ring,
                                   absl::Span<const SegmentFacts> segments) {
  const SegmentFacts* last = nullptr;
  for (const SegmentFacts& segment : segments) {
    if (IsOwn(segment) && segment.number >= ring.cursor.segment_number &&
        segment.end_position > CursorEnd(ring)) {
      last = &segment;
    }
  }
  return last;
}

}  // namespace

absl::StatusOr<SegmentCursor> DecodeCursorState(const PersistCursor& cursor) {
  if (cursor.sequence == 0) return SegmentCursor();
  return DecodeSegmentCursor(absl::string_view(
      reinterpret_cast<const char*>(cursor.state), cursor.state_bytes));
}

RingFacts MakeRingFacts(const RingHeader& header, bool is_of_another_boot,
                        CursorState state, const PersistCursor& cursor) {
  RingFacts facts;
  facts.first_position = header.first_position;
  facts.is_of_another_boot = is_of_another_boot;
  facts.cursor_state = state;
  facts.cursor_end_position = cursor.end_position;
  absl::StatusOr<SegmentCursor> decoded = DecodeCursorState(cursor);
  if (decoded.ok()) {
    facts.cursor = *std::move(decoded);
  } else if (state == CursorState::kIntact) {
    facts.cursor_state = CursorState::kUnreadable;
  }
  return facts;
}

ScanNeed NeededScan(const RingFacts& ring) {
  ScanNeed need;
  need.for_proof =
      ring.is_of_another_boot && ring.cursor_state != CursorState::kUnreadable;
  need.for_segments =
      !need.for_proof && ring.cursor_state != CursorState::kIntact;
  if (need.for_proof) need.first_number = ring.cursor.segment_number;
  return need;
}

bool CursorWasLost(const RingFacts& ring,
                   absl::Span<const SegmentFacts> segments) {
  return ring.cursor_state == CursorState::kNone &&
         std::any_of(segments.begin(), segments.end(),
                     [](const SegmentFacts& segment) {
                       return IsOwn(segment) &&
                              (segment.has_metadata || segment.number > 1);
                     });
}

ResumePoint DecideResumePoint(const RingFacts& ring,
                              absl::Span<const SegmentFacts> segments) {
  const bool cursor_is_damaged = ring.cursor_state == CursorState::kDamaged ||
                                 CursorWasLost(ring, segments);
  ResumePoint point;
  if (NeededScan(ring).for_proof) {
    const SegmentFacts* last = FindLastProven(ring, segments);
    point = last != nullptr ? DecideByProof(ring, segments, *last)
                            : DecideByCursor(ring, segments);
  } else if (cursor_is_damaged ||
             ring.cursor_state == CursorState::kUnreadable) {
    point = DecideBySegments(ring, segments);
  } else {
    point = DecideByCursor(ring, segments);
  }
  point.cursor_is_damaged = cursor_is_damaged;
  return point;
}

}  // namespace ringlog
