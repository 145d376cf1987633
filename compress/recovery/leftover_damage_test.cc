// Invariants checked: a damaged ring, cursor or segment costs only the records
// that are damaged; recovery neither duplicates a record nor adds a wrong one.

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_resume.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/read_records.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Without the cursor it is unknown which bytes of the last segment count, so
// recovery leaves all segments unchanged.
TEST_P(ScriptedDeathTest, DamagedCursorKeepsRecordsAndSegments) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  const std::string ring = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(ring);
  RingLive live;
  std::memcpy(&live, &bytes[kLiveOffset], sizeof live);
  const uint64_t latest = live.cursor_selector & 1;
  if (live.cursor[latest].sequence == 0) return;
  live.cursor[latest].state[100] ^= 1;
  std::memcpy(&bytes[kLiveOffset], &live, sizeof live);
  WriteFile(ring, bytes);
  std::map<std::string, std::string> segments;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    segments[path] = ReadFile(path);
  }
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  for (const auto& [path, content] : segments) {
    EXPECT_EQ(ReadFile(path), content);
  }
  std::vector<std::string> texts;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    for (absl::string_view line :
         absl::StrSplit(Decompress(path), '\n', absl::SkipEmpty())) {
      texts.emplace_back(TextOfLine(line));
    }
  }
  EXPECT_THAT(NumberedTexts(logged), ::testing::IsSubsetOf(texts));
  // Restores the ring, as if its deletion had not reached the disk.
  const std::vector<std::string> names = FilesIn(directory, ".zst");
  WriteFile(ring, bytes);
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  EXPECT_EQ(FilesIn(directory, ".zst"), names);
}

// Both cursors are zeros: the ring looks as if nothing had been persisted.
TEST_P(ScriptedDeathTest, LostCursorKeepsRecordsAndSegments) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  const std::string ring = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(ring);
  RingLive live;
  std::memcpy(&live, &bytes[kLiveOffset], sizeof live);
  std::memset(&live.cursor, 0, sizeof live.cursor);
  std::memcpy(&bytes[kLiveOffset], &live, sizeof live);
  WriteFile(ring, bytes);
  std::map<std::string, std::string> segments;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    auto reader = SegmentReader::Open(path);
    const bool counts = reader.ok() && (*reader)->first_metadata() != nullptr;
    if (counts) segments[path] = ReadFile(path);
  }
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  for (const auto& [path, content] : segments) {
    EXPECT_EQ(ReadFile(path), content);
  }
  const std::vector<std::string> names = FilesIn(directory, ".zst");
  std::vector<std::string> texts;
  for (const std::string& path : names) {
    for (absl::string_view line :
         absl::StrSplit(Decompress(path), '\n', absl::SkipEmpty())) {
      texts.push_back(TextOfLine(line));
    }
  }
  EXPECT_THAT(NumberedTexts(logged), ::testing::IsSubsetOf(texts));
  // Restores the ring, as if its deletion had not reached the disk.
  WriteFile(ring, bytes);
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  EXPECT_EQ(FilesIn(directory, ".zst"), names);
}

// The ring file ends before the cursors, so the bytes that count are unknown.
TEST_P(ScriptedDeathTest, TruncatedRingKeepsItsSegments) {
  const std::string directory = MakeTestDirectory();
  LiveAndDie(directory);
  const std::string ring = FilesIn(directory, ".ring")[0];
  WriteFile(ring, ReadFile(ring).substr(0, kLiveOffset + 100));
  std::map<std::string, std::string> segments;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    segments[path] = ReadFile(path);
  }
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  for (const auto& [path, content] : segments) {
    EXPECT_EQ(ReadFile(path), content);
  }
}

TEST_P(ScriptedDeathTest, DamagedSegmentIsNotReplayedFromRing) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  for (const std::string& path : FilesIn(directory, ".zst")) {
    std::string bytes = ReadFile(path);
    if (bytes.size() < 2) continue;
    bytes[1] = static_cast<char>(bytes[1] ^ 1);
    WriteFile(path, bytes);
  }
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  // No readable record is duplicated.
  std::map<std::string, int> counts;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    auto reader = SegmentReader::Open(path);
    if (!reader.ok()) continue;
    for (const std::string& record : ReadRecords(reader->get())) {
      ++counts[TextOfLine(record)];
    }
  }
  for (const auto& [text, count] : counts) EXPECT_EQ(count, 1) << text;
  EXPECT_LE(counts.size(), static_cast<size_t>(logged));
}

// Number of steps of TwoSegmentScript() after which a frame is open, and range
// of the records in that frame.
constexpr int kOpenFrameSteps = 15;
constexpr int kOpenFrameFirst = 4;
constexpr int kOpenFrameEnd = 8;

// Content of all segments of a directory, in order.
struct Found {
  std::vector<std::string> texts;
  std::vector<SkippedRegion> regions;
};

Found ReadAll(const std::string& directory) {
  Found found;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    auto reader = SegmentReader::Open(path);
    if (!reader.ok()) continue;
    for (const std::string& record : ReadRecords(reader->get())) {
      const std::string text = TextOfLine(record);
      found.texts.push_back(text.substr(0, text.size() - 1));
    }
    const std::vector<SkippedRegion>& regions = (*reader)->skipped();
    found.regions.insert(found.regions.end(), regions.begin(), regions.end());
  }
  return found;
}

class OpenFrameTest : public ::testing::Test {
 protected:
  OpenFrameTest() {
    ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript(), kOpenFrameSteps);
    logged_ = process.logged();
    ring_ = FilesIn(directory_, ".ring")[0];
    ring_bytes_ = ReadFile(ring_);
    segment_ = FilesIn(directory_, ".zst")[0];
    segment_bytes_ = ReadFile(segment_);
    RingLive live;
    std::memcpy(&live, &ring_bytes_[kLiveOffset], sizeof live);
    const auto cursor =
        DecodeSegmentCursor(live.cursor[live.cursor_selector & 1]);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    frame_offset_ = cursor->frame_offset;
    EXPECT_LT(frame_offset_, segment_bytes_.size());
    EXPECT_EQ(cursor->segment_bytes, segment_bytes_.size());
  }

  // Expects all records except those of the open frame, and a report of these.
  void ExpectFrameIsLost(const std::string& segment) {
    for (const std::string& path : FilesIn(directory_, ".zst")) {
      ASSERT_EQ(unlink(path.c_str()), 0);
    }
    WriteFile(ring_, ring_bytes_);
    WriteFile(segment_, segment);
    ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
    const Found found = ReadAll(directory_);
    std::vector<std::string> expected = NumberedTexts(logged_);
    expected.erase(expected.begin() + kOpenFrameFirst,
                   expected.begin() + kOpenFrameEnd);
    ASSERT_EQ(found.texts, expected);
    ASSERT_THAT(found.regions, SizeIs(1));
    EXPECT_EQ(found.regions[0].first_position, 1u + kOpenFrameFirst);
    EXPECT_EQ(found.regions[0].end_position, 1u + kOpenFrameEnd);
  }

  // Returns the path of the segment after `segment_`.
  std::string NextPath() const {
    std::string next = segment_;
    next.replace(next.rfind("000001"), 6, "000002");
    return next;
  }

  // Leaves the ring, with or without its cursor, and its segment with a damaged
  // open frame: recovery must begin another segment.
  void DamageOpenFrame(bool has_cursor) {
    for (const std::string& path : FilesIn(directory_, ".zst")) {
      ASSERT_EQ(unlink(path.c_str()), 0);
    }
    std::string ring = ring_bytes_;
    if (!has_cursor) {
      ring.replace(kLiveOffset + offsetof(RingLive, cursor),
                   sizeof(RingLive::cursor), sizeof(RingLive::cursor), '\0');
    }
    WriteFile(ring_, ring);
    std::string damaged = segment_bytes_;
    damaged.back() = static_cast<char>(damaged.back() ^ 1);
    WriteFile(segment_, damaged);
  }

  const std::string directory_ = MakeTestDirectory();
  int logged_ = 0;
  std::string ring_;
  std::string ring_bytes_;
  std::string segment_;
  std::string segment_bytes_;
  uint64_t frame_offset_ = 0;
};

TEST_F(OpenFrameTest, FlippedByteGivesNoWrongText) {
  for (uint64_t at = frame_offset_; at < segment_bytes_.size(); ++at) {
    std::string damaged = segment_bytes_;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ExpectFrameIsLost(damaged);
    ASSERT_FALSE(HasFailure()) << "byte " << at;
  }
}

TEST_F(OpenFrameTest, TruncationGivesNoWrongText) {
  for (uint64_t length = frame_offset_; length < segment_bytes_.size();
       ++length) {
    ExpectFrameIsLost(segment_bytes_.substr(0, length));
    ASSERT_FALSE(HasFailure()) << "length " << length;
  }
}

// Recovery closes the open frame although an earlier frame is damaged.
TEST_F(OpenFrameTest, IsClosedDespiteEarlierDamage) {
  std::string damaged = segment_bytes_;
  damaged[20] = static_cast<char>(damaged[20] ^ 1);
  WriteFile(segment_, damaged);
  ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
  const Found found = ReadAll(directory_);
  std::vector<std::string> expected = NumberedTexts(logged_);
  expected.erase(expected.begin(), expected.begin() + kOpenFrameFirst);
  EXPECT_EQ(found.texts, expected);
  EXPECT_THAT(found.regions, SizeIs(1));
}

TEST_F(OpenFrameTest, ForeignFileWithNameOfSegmentStays) {
  std::string others;
  {
    const std::string elsewhere = MakeTestDirectory();
    ScriptedProcess process(elsewhere, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript(), kOpenFrameSteps);
    others = ReadFile(FilesIn(elsewhere, ".zst")[0]) + "and more";
  }
  WriteFile(segment_, others);
  ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
  EXPECT_EQ(ReadFile(segment_), others);
}

// A new segment takes the first number that no foreign file has, whether the
// cursor is intact or lost.
TEST_F(OpenFrameTest, ForeignFileWithNextNameStays) {
  std::string others;
  {
    const std::string elsewhere = MakeTestDirectory();
    ScriptedProcess process(elsewhere, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript(), kOpenFrameSteps);
    others = ReadFile(FilesIn(elsewhere, ".zst")[0]);
  }
  const std::string next = NextPath();
  for (const bool has_cursor : {true, false}) {
    ASSERT_NO_FATAL_FAILURE(DamageOpenFrame(has_cursor));
    WriteFile(next, others);
    ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
    EXPECT_EQ(ReadFile(next), others);
    EXPECT_THAT(FilesIn(directory_, ".zst"), SizeIs(3));
  }
}

TEST_F(OpenFrameTest, LinkWithNextNameStays) {
  const std::string next = NextPath();
  const std::string target = MakeTestDirectory() + "/target";
  for (const bool has_cursor : {true, false}) {
    ASSERT_NO_FATAL_FAILURE(DamageOpenFrame(has_cursor));
    WriteFile(target, "");
    ASSERT_EQ(symlink(target.c_str(), next.c_str()), 0);
    ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
    EXPECT_TRUE(std::filesystem::is_symlink(next));
    EXPECT_EQ(ReadFile(target), "");
    EXPECT_THAT(FilesIn(directory_, ".000003.log.zst"), SizeIs(1));
    ASSERT_EQ(unlink(next.c_str()), 0);
  }
}

// The cursor may be older than the segments, so the segments are scanned.
TEST_P(ScriptedDeathTest, MachineDeathKeepsEachRecordOnce) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  const std::string ring = FilesIn(directory, ".ring")[0];
  WriteFile(ring, WithOtherBootId(ReadFile(ring)));
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  EXPECT_EQ(TextsIn(directory), NumberedTexts(logged));
}

INSTANTIATE_TEST_SUITE_P(AfterEachStep, ScriptedDeathTest, EachScriptStep());

TEST(DamagedRingTest, StaysAndDoesNotPreventOtherRecoveries) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 3);
  const std::string first = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(first);
  for (const size_t header : {size_t{0}, size_t{kRingHeaderCopyOffset}}) {
    bytes[header + 100] = static_cast<char>(bytes[header + 100] ^ 1);
  }
  WriteFile(first, bytes);
  LogAndDie(directory, 2);
  const RecoveredLeftovers leftovers = RecoverLeftovers(directory, directory);
  EXPECT_THAT(leftovers.recovered, SizeIs(1));
  ASSERT_THAT(leftovers.errors, SizeIs(1));
  EXPECT_THAT(leftovers.errors[0].message(), HasSubstr(first));
  EXPECT_EQ(FilesIn(directory, ".ring"), std::vector<std::string>{first});
  EXPECT_EQ(TextsIn(directory), NumberedTexts(2));
}

TEST(DamagedRingTest, SecondCopyOfHeaderIsEnough) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 3);
  const std::string ring = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(ring);
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  WriteFile(ring, bytes);
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
}

// The frame is intact, but this descriptor cannot read it.
TEST(DamagedSegmentTest, ReadErrorDoesNotCountAsDamageOfOpenFrame) {
  ScriptedProcess process(MakeTestDirectory(), ScriptedProcess::OpenFrames());
  for (int i = 0; i < 2; ++i) {
    process.LogNumbered(2);
    process.Flush();
  }
  const absl::StatusOr<RecoveredRing> ring =
      RecoverRing(ReadFile(process.ring_path()), RecoverFrom::kCursor);
  ASSERT_TRUE(ring.ok()) << ring.status();
  const absl::StatusOr<SegmentCursor> cursor =
      DecodeSegmentCursor(ring->cursor);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  ASSERT_LT(cursor->frame_offset, cursor->segment_bytes);
  const std::string path = process.segment_path(1);
  const std::string before = ReadFile(path);
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_WRONLY);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(EndDamagedSegment(&*file, SegmentIdentity(), *cursor).ok());
  EXPECT_EQ(ReadFile(path), before);
}

}  // namespace
}  // namespace ringlog
