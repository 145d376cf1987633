// What recovery makes of a ring, a cursor or a segment that is damaged.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/leftover_life.h"
#include "ringlog/compress/read_records.h"
#include "ringlog/compress/segment_reader.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/read_segments.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Nobody knows then what of the last segment counts: nothing of it is touched.
TEST_P(LifeTest, WithADamagedCursorNothingIsLostAndSegmentsStay) {
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
  ASSERT_TRUE(Recover(directory).ok());
  for (const auto& [path, content] : segments) {
    EXPECT_EQ(ReadFile(path), content);
  }
  std::vector<std::string> texts;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    for (absl::string_view line :
         absl::StrSplit(Decompress(path), '\n', absl::SkipEmpty())) {
      texts.emplace_back(line.substr(line.find("] ") + 2));
    }
  }
  EXPECT_THAT(Messages(logged), ::testing::IsSubsetOf(texts));
  // The ring came back, as if its deletion had not been.
  const std::vector<std::string> names = FilesIn(directory, ".zst");
  WriteFile(ring, bytes);
  ASSERT_TRUE(Recover(directory).ok());
  EXPECT_EQ(FilesIn(directory, ".zst"), names);
}

TEST_P(LifeTest, ADamagedSegmentIsNotCopiedFromTheRing) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  for (const std::string& path : FilesIn(directory, ".zst")) {
    std::string bytes = ReadFile(path);
    if (bytes.size() < 2) continue;
    bytes[1] = static_cast<char>(bytes[1] ^ 1);
    WriteFile(path, bytes);
  }
  ASSERT_TRUE(Recover(directory).ok());
  // Of what the reader can still read none is there twice.
  std::map<std::string, int> counts;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    auto reader = SegmentReader::Open(path);
    if (!reader.ok()) continue;
    for (const std::string& record : ReadRecords(reader->get())) {
      ++counts[record.substr(record.find("] ") + 2)];
    }
  }
  for (const auto& [text, count] : counts) EXPECT_EQ(count, 1) << text;
  EXPECT_LE(counts.size(), static_cast<size_t>(logged));
}

INSTANTIATE_TEST_SUITE_P(EndsAfterEveryStep, LifeTest,
                         ::testing::Range(size_t{0}, Life().size()));

TEST(LeftoverTest, ADamagedRingStaysAndDoesNotKeepOthersFromRecovery) {
  const std::string directory = MakeTestDirectory();
  { Victim(directory).Log(3); }
  const std::string first = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(first);
  for (const size_t header : {size_t{0}, size_t{kRingHeaderCopyOffset}}) {
    bytes[header + 100] = static_cast<char>(bytes[header + 100] ^ 1);
  }
  WriteFile(first, bytes);
  { Victim(directory).Log(2); }
  const LeftoverSweep sweep =
      RecoverLeftovers(directory, directory, SegmentWriterOptions());
  EXPECT_THAT(sweep.recovered, SizeIs(1));
  ASSERT_THAT(sweep.errors, SizeIs(1));
  EXPECT_THAT(sweep.errors[0].message(), HasSubstr(first));
  EXPECT_EQ(FilesIn(directory, ".ring"), std::vector<std::string>{first});
  EXPECT_EQ(Texts(directory), Messages(2));
}

TEST(LeftoverTest, ADamagedHeaderWithAWholeCopyCostsNothing) {
  const std::string directory = MakeTestDirectory();
  { Victim(directory).Log(3); }
  const std::string ring = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(ring);
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  WriteFile(ring, bytes);
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Texts(directory), Messages(3));
}

}  // namespace
}  // namespace ringlog
