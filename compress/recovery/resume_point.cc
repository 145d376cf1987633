#include "ringlog/compress/recovery/resume_point.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

using Basis = ResumePoint::Basis;

bool IsOwn(const SegmentFacts& segment) {
  return segment.standing == SegmentFacts::Standing::kOwn;
}

// True if a recovery that was killed wrote the segment. The ring still has all
// of its records.
bool IsUnfinishedAttempt(const SegmentFacts& segment) {
  return segment.is_recovered && !segment.is_complete;
}

// The position from which the newest intact cursor leaves records to the ring.
uint64_t CursorEnd(const RingFacts& ring) {
  return std::max(ring.first_position, ring.cursor_end_position);
}

// Returns the bytes that the cursor counts of `segment`, which it names.
CountedSegment CountByCursor(const RingFacts& ring,
                             const SegmentFacts& segment) {
  const SegmentCursor& cursor = ring.cursor;
  CountedSegment counted;
  counted.number = segment.number;
  if (segment.open_frame_is_damaged) {
    counted.bytes = cursor.frame_offset;
    counted.end_position = cursor.open_frame.first_position;
    counted.lost_open_frame = true;
    return counted;
  }
  counted.bytes = cursor.segment_bytes;
  counted.end_position = ring.cursor_end_position;
  if (segment.open_frame_is_proven) {
    counted.open_frame_begin = cursor.frame_offset;
  }
  return counted;
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
  point.last_segment = cursor.last_started_segment();
  const bool is_started = cursor.names_started_segment();
  point.last_bytes = is_started                ? cursor.segment_bytes
                     : point.last_segment != 0 ? kAllBytes
                                               : 0;
  point.overlaps = is_started;
  for (const SegmentFacts& segment : segments) {
    CountedSegment counted = {segment.number, kAllBytes, 0};
    if (!IsOwn(segment) || segment.number > point.last_segment) {
      counted.bytes = 0;
    } else if (segment.number == point.last_segment) {
      if (is_started) counted = CountByCursor(ring, segment);
      point.last_index = static_cast<int>(point.segments.size());
      point.last_bytes = counted.bytes;
      if (is_started && segment.bytes >= cursor.segment_bytes) {
        point.overlaps = false;
        point.continues_last = !counted.lost_open_frame;
      }
    }
    point.segments.push_back(counted);
  }
  SetNextSegment(point.last_segment + 1, segments, &point);
  return point;
}

// Row 6. `last` is the index of the last segment with a proven frame that ends
// above the cursor.
ResumePoint DecideByProof(const RingFacts& ring,
                          absl::Span<const SegmentFacts> segments, int last) {
  const SegmentCursor& cursor = ring.cursor;
  const SegmentFacts& last_segment = segments[static_cast<size_t>(last)];
  ResumePoint point;
  point.basis = Basis::kProvenFrames;
  point.first_position = CursorEnd(ring);
  point.reported_drops = cursor.reported_drops;
  point.last_segment = last_segment.number;
  point.last_bytes =
      last_segment.is_complete ? kAllBytes : last_segment.proven_bytes;
  point.last_index = last;
  point.continues_last = !last_segment.is_complete;
  for (const SegmentFacts& segment : segments) {
    CountedSegment counted = {segment.number, kAllBytes, 0};
    if (!IsOwn(segment) || segment.number > point.last_segment) {
      counted.bytes = 0;
    } else if (&segment == &last_segment) {
      counted.bytes = point.last_bytes;
      counted.end_position = segment.end_position;
    } else if (segment.number >= cursor.segment_number && !segment.is_closed &&
               segment.is_readable) {
      counted.bytes = segment.proven_bytes;
      counted.end_position = segment.end_position;
      if (CountsMoreThanProven(cursor, segment)) {
        counted = CountByCursor(ring, segment);
      }
    }
    point.segments.push_back(counted);
    if (!IsOwn(segment) || segment.number < cursor.segment_number ||
        CountsMoreThanProven(cursor, segment)) {
      continue;
    }
    point.first_position = std::max(point.first_position, segment.end_position);
    AddDrops(segment.drops, &point.reported_drops);
  }
  SetNextSegment(point.last_segment + 1, segments, &point);
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
    if (!IsOwn(segment) || IsUnfinishedAttempt(segment)) {
      point.segments.push_back({segment.number, 0, 0});
      continue;
    }
    point.last_segment = segment.number;
    point.last_bytes = kAllBytes;
    point.last_index = static_cast<int>(point.segments.size());
    point.segments.push_back({segment.number, kAllBytes, 0});
    point.first_position = std::max(point.first_position, segment.end_position);
    if (segment.is_recovered) point.basis = Basis::kAlreadyRecovered;
  }
  SetNextSegment(point.last_segment + 1, segments, &point);
  return point;
}

// Returns the index of the last segment with a proven frame that ends above the
// cursor; -1 if there is none. A frame in front of bytes that the cursor counts
// cannot end above the cursor, whatever its metadata says. Without a cursor
// every proven frame counts, also below the ring's first position: a rebuilt
// header does not know that position.
int FindLastProven(const RingFacts& ring,
                   absl::Span<const SegmentFacts> segments) {
  int last = -1;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (IsOwn(segments[i]) &&
        segments[i].number >= ring.cursor.segment_number &&
        segments[i].end_position > ring.cursor_end_position &&
        !CountsMoreThanProven(ring.cursor, segments[i])) {
      last = static_cast<int>(i);
    }
  }
  return last;
}

}  // namespace

bool CountsMoreThanProven(const SegmentCursor& cursor,
                          const SegmentFacts& segment) {
  if (segment.number != cursor.segment_number) return false;
  const bool has_open_frame = cursor.frame_offset < cursor.segment_bytes;
  return segment.proven_bytes < cursor.segment_bytes ||
         (has_open_frame && segment.proven_bytes == cursor.segment_bytes);
}

absl::StatusOr<SegmentCursor> DecodeCursorState(const PersistCursor& cursor) {
  if (cursor.sequence == 0) return SegmentCursor();
  return DecodeSegmentCursor(cursor);
}

CursorState CursorStateOf(const RingLive* live, const RingHeader& header,
                          const PersistCursor& cursor) {
  if (live == nullptr || LatestCursorIsDamaged(*live, header)) {
    return CursorState::kDamaged;
  }
  return cursor.sequence == 0 ? CursorState::kNone : CursorState::kIntact;
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
                       return IsOwn(segment) && !IsUnfinishedAttempt(segment) &&
                              (segment.has_metadata || segment.number > 1);
                     });
}

ResumePoint DecideResumePoint(const RingFacts& ring,
                              absl::Span<const SegmentFacts> segments) {
  const bool cursor_is_damaged = ring.cursor_state == CursorState::kDamaged ||
                                 CursorWasLost(ring, segments);
  ResumePoint point;
  if (NeededScan(ring).for_proof) {
    const int last = FindLastProven(ring, segments);
    point = last >= 0 ? DecideByProof(ring, segments, last)
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
