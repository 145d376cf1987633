// Compares the result of DecideResumePoint() with the tables in resume_point.h,
// for all combinations of the facts on which the result depends.

#include "ringlog/compress/recovery/resume_point.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

using Basis = ResumePoint::Basis;
using ::testing::ElementsAre;

// The cursor covers the positions below kCursorEnd. The segment with number
// kNamed has kNamedBytes, of which the bytes from kFrameOffset on are an open
// frame with the positions from kFramePosition on.
constexpr uint64_t kFirst = 10;
constexpr uint64_t kCursorEnd = 100;
constexpr uint64_t kNamed = 2;
constexpr uint64_t kNamedBytes = 1000;
constexpr uint64_t kFrameOffset = 900;
constexpr uint64_t kFramePosition = 90;
constexpr uint64_t kProvenEnd = 140;  // above the cursor
constexpr uint64_t kProvenBytes = 1500;

enum class Cursor {
  kNone,
  kNamesNone,
  kUnstarted,
  kStarted,
  kDamagedWithoutOlder,
  kDamagedWithOlder,
  kUnreadable,
};
constexpr Cursor kCursors[] = {
    Cursor::kNone,      Cursor::kNamesNone,           Cursor::kUnstarted,
    Cursor::kStarted,   Cursor::kDamagedWithoutOlder, Cursor::kDamagedWithOlder,
    Cursor::kUnreadable};

enum class File {
  kMissing,
  kAsPublished,    // ends at the cursor's bytes; proven up to the open frame
  kOpen,           // a frame after the cursor's bytes is proven; not closed
  kClosed,         // the same, and closed with all frames proven
  kClosedDamaged,  // closed, but a frame is damaged
  kUnproven,       // long enough, but not a single intact frame
  kShort,          // shorter than the cursor's bytes
  kOpenFrameDamaged,
  kUnreadable,
  kForeign,
  kRecovered,          // written by recovery; closed
  kUnfinishedAttempt,  // written by a recovery that was killed
};
constexpr File kFiles[] = {File::kUnfinishedAttempt,
                           File::kMissing,
                           File::kAsPublished,
                           File::kOpen,
                           File::kClosed,
                           File::kClosedDamaged,
                           File::kUnproven,
                           File::kShort,
                           File::kOpenFrameDamaged,
                           File::kUnreadable,
                           File::kForeign,
                           File::kRecovered};

RingFacts MakeRing(Cursor cursor, bool is_of_another_boot) {
  RingFacts ring;
  ring.first_position = kFirst;
  ring.is_of_another_boot = is_of_another_boot;
  switch (cursor) {
    case Cursor::kNone:
      return ring;
    case Cursor::kDamagedWithoutOlder:
      ring.cursor_state = CursorState::kDamaged;
      return ring;
    case Cursor::kUnreadable:
      ring.cursor_state = CursorState::kUnreadable;
      ring.cursor_end_position = kCursorEnd;
      return ring;
    case Cursor::kDamagedWithOlder:
      ring.cursor_state = CursorState::kDamaged;
      break;
    default:
      ring.cursor_state = CursorState::kIntact;
  }
  ring.cursor_end_position = kCursorEnd;
  if (cursor == Cursor::kNamesNone) return ring;
  ring.cursor.segment_number = kNamed;
  ring.cursor.reported_drops[0][1] = 7;
  if (cursor == Cursor::kUnstarted) return ring;
  ring.cursor.segment_bytes = kNamedBytes;
  ring.cursor.frame_offset = kFrameOffset;
  ring.cursor.open_frame.first_position = kFramePosition;
  ring.cursor.open_frame.end_position = kCursorEnd;
  return ring;
}

SegmentFacts MakeSegment(uint64_t number, File file) {
  SegmentFacts segment;
  segment.number = number;
  segment.bytes = kNamedBytes;
  if (file == File::kForeign) {
    segment.standing = SegmentFacts::Standing::kForeign;
    segment.has_metadata = true;
    segment.end_position = kProvenEnd;
    return segment;
  }
  segment.is_readable = file != File::kUnreadable;
  if (file == File::kUnreadable || file == File::kUnproven) return segment;
  segment.has_metadata = true;
  segment.proven_bytes = kFrameOffset;
  segment.end_position = kFramePosition;
  segment.open_frame_is_damaged =
      number == kNamed &&
      (file == File::kOpenFrameDamaged || file == File::kShort);
  if (file == File::kShort) segment.bytes = kFrameOffset + 1;
  segment.is_closed = file == File::kClosed || file == File::kClosedDamaged ||
                      file == File::kRecovered;
  segment.is_complete = segment.is_closed && file != File::kClosedDamaged;
  segment.is_recovered =
      file == File::kRecovered || file == File::kUnfinishedAttempt;
  if (segment.is_closed || file == File::kOpen) {
    segment.bytes = segment.proven_bytes = kProvenBytes;
    segment.end_position = kProvenEnd;
    segment.drops[0][1] = 1;
  }
  return segment;
}

struct Combination {
  Cursor cursor;
  bool is_of_another_boot;
  File files[3];  // segments 1, 2 (kNamed) and 3

  std::string ToString() const {
    return absl::StrCat(
        "cursor ", static_cast<int>(cursor), ", boot ", is_of_another_boot,
        ", files ", static_cast<int>(files[0]), " ", static_cast<int>(files[1]),
        " ", static_cast<int>(files[2]));
  }
  RingFacts ring() const { return MakeRing(cursor, is_of_another_boot); }
  std::vector<SegmentFacts> segments() const {
    std::vector<SegmentFacts> made;
    for (uint64_t i = 0; i < 3; ++i) {
      if (files[i] != File::kMissing) {
        made.push_back(MakeSegment(i + 1, files[i]));
      }
    }
    return made;
  }
};

bool Any(const std::vector<SegmentFacts>& segments,
         const std::function<bool(const SegmentFacts&)>& matches) {
  return std::any_of(segments.begin(), segments.end(), [&](const auto& s) {
    return s.standing == SegmentFacts::Standing::kOwn && matches(s);
  });
}

bool IsUnfinishedAttempt(const SegmentFacts& segment) {
  return segment.is_recovered && !segment.is_complete;
}

// The rows of the first table in resume_point.h: number and basis.
std::pair<int, Basis> ExpectedRow(const RingFacts& ring,
                                  const std::vector<SegmentFacts>& segments) {
  const bool is_recovered = Any(
      segments, [](const auto& s) { return s.is_recovered && s.is_complete; });
  const Basis alone =
      is_recovered ? Basis::kAlreadyRecovered : Basis::kSegmentsAlone;
  if (ring.cursor_state == CursorState::kUnreadable) return {1, alone};
  if (!ring.is_of_another_boot) {
    if (ring.cursor_state == CursorState::kNone) {
      const bool any = Any(segments, [](const auto& s) {
        return !IsUnfinishedAttempt(s) && (s.number >= 2 || s.has_metadata);
      });
      return any ? std::pair(2, alone) : std::pair(3, Basis::kNothingPersisted);
    }
    if (ring.cursor_state == CursorState::kDamaged) {
      return {is_recovered ? 4 : 5, alone};
    }
    return {8, Basis::kCursor};
  }
  if (Any(segments, [&](const auto& s) {
        return s.number >= ring.cursor.segment_number &&
               s.end_position > ring.cursor_end_position;
      })) {
    return {6, Basis::kProvenFrames};
  }
  return ring.cursor_end_position == 0 ? std::pair(7, Basis::kNothingPersisted)
                                       : std::pair(8, Basis::kCursor);
}

// The column "bytes that count" of the second table.
uint64_t ExpectedBytes(const RingFacts& ring, Basis basis, uint64_t last_proven,
                       const SegmentFacts& s) {
  if (s.standing == SegmentFacts::Standing::kForeign) return 0;
  const bool is_named =
      s.number == ring.cursor.segment_number && ring.cursor.segment_bytes != 0;
  const uint64_t by_cursor =
      s.open_frame_is_damaged ? kFrameOffset : kNamedBytes;
  switch (basis) {
    case Basis::kNothingPersisted:
      return 0;
    case Basis::kCursor:
      if (is_named) return by_cursor;
      return s.number < ring.cursor.segment_number ? kAllBytes : 0;
    case Basis::kProvenFrames:
      if (s.number > last_proven) return 0;
      if (s.number < ring.cursor.segment_number) return kAllBytes;
      if (s.number == last_proven) {
        return s.is_complete ? kAllBytes : s.proven_bytes;
      }
      if (s.is_closed || !s.is_readable) return kAllBytes;
      return is_named && s.proven_bytes < kNamedBytes ? by_cursor
                                                      : s.proven_bytes;
    case Basis::kSegmentsAlone:
    case Basis::kAlreadyRecovered:
      break;
  }
  return IsUnfinishedAttempt(s) ? 0 : kAllBytes;
}

void ExpectTableResult(const RingFacts& ring,
                       const std::vector<SegmentFacts>& segments, Basis basis) {
  const ResumePoint point = DecideResumePoint(ring, segments);
  ASSERT_EQ(point.basis, basis);
  const bool is_alone =
      basis == Basis::kSegmentsAlone || basis == Basis::kAlreadyRecovered;
  const uint64_t cursor_end = std::max(kFirst, ring.cursor_end_position);
  uint64_t last_proven = 0;
  uint64_t proven_end = cursor_end;
  for (const SegmentFacts& s : segments) {
    if (s.standing == SegmentFacts::Standing::kForeign) continue;
    if (s.number < ring.cursor.segment_number &&
        basis == Basis::kProvenFrames) {
      continue;
    }
    if (is_alone && IsUnfinishedAttempt(s)) continue;
    if (s.end_position > ring.cursor_end_position) last_proven = s.number;
    proven_end = std::max(proven_end, s.end_position);
  }
  EXPECT_EQ(point.first_position, is_alone || basis == Basis::kProvenFrames
                                      ? proven_end
                                      : cursor_end);
  const bool is_started =
      basis == Basis::kCursor && ring.cursor.segment_bytes != 0;
  const bool is_there = Any(segments, [](const auto& s) {
    return s.number == kNamed && s.bytes >= kNamedBytes;
  });
  EXPECT_EQ(point.overlaps, is_alone || (is_started && !is_there));
  ASSERT_EQ(point.segments.size(), segments.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    EXPECT_EQ(point.segments[i].number, segments[i].number);
    EXPECT_EQ(point.segments[i].bytes,
              ExpectedBytes(ring, basis, last_proven, segments[i]))
        << segments[i].number;
  }
}

// Checks the invariants of every decision.
void ExpectConsistent(const std::vector<SegmentFacts>& segments,
                      const ResumePoint& point) {
  EXPECT_GE(point.first_position, kFirst);
  EXPECT_GT(point.next_segment, point.last_segment);
  for (size_t i = 0; i < segments.size(); ++i) {
    const CountedSegment& counted = point.segments[i];
    if (segments[i].standing == SegmentFacts::Standing::kForeign) {
      EXPECT_EQ(counted.bytes, 0u);
      EXPECT_NE(segments[i].number, point.next_segment);
      continue;
    }
    // No record is both in counted bytes and in the ring.
    if (!point.overlaps) {
      EXPECT_LE(counted.end_position, point.first_position);
    }
    if (counted.number > point.last_segment) {
      EXPECT_EQ(counted.bytes, 0u);
    }
    if (static_cast<int>(i) == point.last_index) {
      EXPECT_EQ(counted.number, point.last_segment);
      EXPECT_EQ(counted.bytes, point.last_bytes);
    }
  }
  if (point.continues_last) {
    EXPECT_TRUE(Any(segments, [&](const auto& s) {
      return s.number == point.last_segment && s.bytes >= point.last_bytes;
    }));
  }
}

TEST(ResumePointTest, EveryCombinationFollowsTheTables) {
  std::map<int, int> rows;
  for (const Cursor cursor : kCursors) {
    for (const bool boot : {false, true}) {
      for (const File first : kFiles) {
        for (const File named : kFiles) {
          for (const File later : kFiles) {
            const Combination c = {cursor, boot, {first, named, later}};
            SCOPED_TRACE(c.ToString());
            const std::vector<SegmentFacts> segments = c.segments();
            const auto [row, basis] = ExpectedRow(c.ring(), segments);
            ++rows[row];
            ExpectTableResult(c.ring(), segments, basis);
            ExpectConsistent(segments, DecideResumePoint(c.ring(), segments));
            if (::testing::Test::HasFailure()) return;
          }
        }
      }
    }
  }
  for (int row = 1; row <= 8; ++row) {
    EXPECT_GT(rows[row], 0) << row;
    std::cout << "row " << row << ": " << rows[row] << " combinations\n";
  }
}

std::vector<uint64_t> BytesOf(const ResumePoint& point) {
  std::vector<uint64_t> bytes;
  for (const CountedSegment& segment : point.segments) {
    bytes.push_back(segment.bytes);
  }
  return bytes;
}

TEST(ResumePointTest, ResumesInTheOpenSegment) {
  const ResumePoint point = DecideResumePoint(
      MakeRing(Cursor::kStarted, false),
      {MakeSegment(1, File::kClosed), MakeSegment(kNamed, File::kOpen)});
  EXPECT_THAT(BytesOf(point), ElementsAre(kAllBytes, kNamedBytes));
  EXPECT_EQ(point.segments[1].end_position, kCursorEnd);
  EXPECT_TRUE(point.continues_last);
  EXPECT_EQ(point.next_segment, kNamed + 1);
  EXPECT_EQ(point.reported_drops[0][1], 7u);
}

TEST(ResumePointTest, DamagedOpenFrameDoesNotCount) {
  const ResumePoint point =
      DecideResumePoint(MakeRing(Cursor::kStarted, false),
                        {MakeSegment(kNamed, File::kOpenFrameDamaged)});
  EXPECT_THAT(BytesOf(point), ElementsAre(kFrameOffset));
  EXPECT_EQ(point.segments[0].end_position, kFramePosition);
  EXPECT_TRUE(point.segments[0].lost_open_frame);
  EXPECT_FALSE(point.continues_last);
  EXPECT_EQ(point.first_position, kCursorEnd) << "not replayed";
}

TEST(ResumePointTest, NamedSegmentIsNextIfNotStarted) {
  const ResumePoint point = DecideResumePoint(
      MakeRing(Cursor::kUnstarted, false),
      {MakeSegment(1, File::kClosed), MakeSegment(kNamed, File::kOpen)});
  EXPECT_THAT(BytesOf(point), ElementsAre(kAllBytes, 0));
  EXPECT_EQ(point.last_segment, 1u);
  EXPECT_EQ(point.next_segment, kNamed);
}

TEST(ResumePointTest, MissingSegmentSetsOverlaps) {
  const ResumePoint point =
      DecideResumePoint(MakeRing(Cursor::kStarted, false), {});
  EXPECT_TRUE(point.overlaps);
  EXPECT_EQ(point.first_position, kCursorEnd);
  EXPECT_EQ(point.reported_drops[0][1], 7u);
  EXPECT_EQ(point.drops_known_to_reader()[0][1], 0u);
}

TEST(ResumePointTest, NoSegmentTakesAForeignNumber) {
  const ResumePoint point = DecideResumePoint(
      MakeRing(Cursor::kStarted, false),
      {MakeSegment(kNamed, File::kForeign), MakeSegment(3, File::kForeign),
       MakeSegment(4, File::kForeign)});
  EXPECT_FALSE(point.continues_last);
  EXPECT_EQ(point.next_segment, 5u);
}

TEST(ResumePointTest, ProofAdvancesAnOlderCursor) {
  const ResumePoint point = DecideResumePoint(
      MakeRing(Cursor::kStarted, true),
      {MakeSegment(1, File::kClosed), MakeSegment(kNamed, File::kClosed),
       MakeSegment(3, File::kOpen), MakeSegment(4, File::kUnproven)});
  EXPECT_THAT(BytesOf(point),
              ElementsAre(kAllBytes, kAllBytes, kProvenBytes, 0));
  EXPECT_EQ(point.first_position, kProvenEnd);
  EXPECT_EQ(point.reported_drops[0][1], 7u + 2u) << "excludes segment 1";
}

// A ring with segments once had a cursor. If all traces of the cursor are lost,
// the ring must not be replayed from its beginning.
TEST(ResumePointTest, LostCursorDoesNotReplayRing) {
  const ResumePoint point = DecideResumePoint(
      MakeRing(Cursor::kNone, false), {MakeSegment(1, File::kAsPublished)});
  EXPECT_EQ(point.basis, Basis::kSegmentsAlone);
  EXPECT_TRUE(point.cursor_is_damaged);
  EXPECT_EQ(point.first_position, kFramePosition);
  EXPECT_EQ(point.next_segment, 2u);
}

// The ring still has all records that the killed recovery wrote.
TEST(ResumePointTest, UnfinishedAttemptIsReplaced) {
  for (const Cursor cursor : {Cursor::kNone, Cursor::kDamagedWithoutOlder}) {
    const ResumePoint point = DecideResumePoint(
        MakeRing(cursor, false), {MakeSegment(1, File::kUnfinishedAttempt)});
    EXPECT_EQ(point.first_position, kFirst);
    EXPECT_EQ(point.next_segment, 1u);
  }
}

// A rebuilt header's first position is the lowest one in the ring.
TEST(ResumePointTest, ProofCountsBelowARebuiltFirstPosition) {
  RingFacts ring = MakeRing(Cursor::kDamagedWithoutOlder, true);
  ring.first_position = kProvenEnd + 50;
  const ResumePoint point =
      DecideResumePoint(ring, {MakeSegment(1, File::kOpen)});
  EXPECT_THAT(BytesOf(point), ElementsAre(kProvenBytes));
  EXPECT_EQ(point.first_position, kProvenEnd + 50);
}

// If two files have one number, recovery continues the one with proven frames.
TEST(ResumePointTest, ProofSelectsAmongFilesOfOneNumber) {
  const ResumePoint point = DecideResumePoint(
      MakeRing(Cursor::kUnstarted, true),
      {MakeSegment(kNamed, File::kOpen), MakeSegment(kNamed, File::kUnproven)});
  EXPECT_EQ(point.last_index, 0);
  EXPECT_THAT(BytesOf(point), ElementsAre(kProvenBytes, 0));
}

// Positions that decrease from one segment to the next show damage, or an
// attack. Then all proven segments count, and no position is replayed.
TEST(ResumePointTest, DecreasingPositionsAreNotReplayed) {
  SegmentFacts higher = MakeSegment(kNamed, File::kOpen);
  higher.end_position = kProvenEnd + 50;
  const ResumePoint point =
      DecideResumePoint(MakeRing(Cursor::kUnstarted, true),
                        {higher, MakeSegment(3, File::kOpen)});
  EXPECT_EQ(point.first_position, kProvenEnd + 50);
  EXPECT_EQ(point.last_segment, 3u);
}

}  // namespace
}  // namespace ringlog
