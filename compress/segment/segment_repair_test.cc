// Tests that repair segments truncated or damaged at any byte.

#include "ringlog/compress/segment/segment_repair.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_index.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

class SegmentRepairTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  SegmentRepairTest()
      : sample_(MakeSampleSegment(GetParam(), 4, TestSeed())),
        directory_(MakeTestDirectory()) {}

  // Repairs `bytes` and returns the new file. Checks that the new file is
  // intact and that repairing it again changes nothing.
  std::string Repair(const std::string& bytes) {
    std::string once = RepairOnce(bytes);
    EXPECT_EQ(RepairOnce(once), once);
    return once;
  }

  std::string RepairOnce(const std::string& bytes) {
    const std::string from = absl::StrCat(directory_, "/", ++files_);
    const std::string to = absl::StrCat(from, ".repaired");
    WriteFile(from, bytes);
    const absl::StatusOr<SegmentIndex> index = BuildSegmentIndex(from);
    EXPECT_TRUE(index.ok()) << index.status();
    if (!index.ok()) return "";
    const absl::Status repaired = RepairSegment(from, *index, to);
    EXPECT_TRUE(repaired.ok()) << repaired;
    EXPECT_EQ(ReadFile(from), bytes);
    const absl::StatusOr<SegmentIndex> result = BuildSegmentIndex(to);
    EXPECT_TRUE(result.ok() && result->is_intact);
    return ReadFile(to);
  }

  // Decompresses `bytes` with libzstd.
  std::string TextOf(const std::string& bytes) {
    const std::string path = absl::StrCat(directory_, "/", ++files_, ".zst");
    WriteFile(path, bytes);
    bool complete = false;
    std::string text = Decompress(path, &complete);
    EXPECT_TRUE(complete);
    return text;
  }

  const SampleSegment sample_;
  const std::string directory_;
  int files_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, SegmentRepairTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson));

TEST_P(SegmentRepairTest, IntactSegmentStaysTheSame) {
  EXPECT_EQ(Repair(sample_.bytes), sample_.bytes);
}

TEST_P(SegmentRepairTest, TruncatedSegmentKeepsItsRecords) {
  // Lengths around the end of every block, and others.
  std::set<size_t> lengths;
  for (const SampleSegment::Frame& frame : sample_.frames) {
    for (const SampleSegment::Block& block : frame.blocks) {
      lengths.insert({block.end - 1, block.end, block.end + 1});
    }
    lengths.insert({frame.end, frame.metadata_end - 1, frame.metadata_end});
  }
  for (size_t length = sample_.frames[0].metadata_end;
       length < sample_.bytes.size(); length += 29) {
    lengths.insert(length);
  }
  lengths.erase(lengths.begin(),
                lengths.lower_bound(sample_.frames[0].metadata_end));
  for (const size_t length : lengths) {
    const std::string repaired = Repair(sample_.bytes.substr(0, length));
    EXPECT_EQ(TextOf(repaired), sample_.TextUpTo(length));
    if (length >= sample_.frames.back().metadata_end) {
      EXPECT_EQ(repaired, sample_.bytes);
    }
    if (HasFailure()) FAIL() << "length " << length;
  }
}

TEST_P(SegmentRepairTest, DamagedByteCostsOnlyItsFrame) {
  int lost_frames = 0;
  for (size_t at = TestSeed() % 17; at < sample_.bytes.size(); at += 17) {
    std::string bytes = sample_.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    size_t frame = 0;
    while (frame < sample_.frames.size() && sample_.frames[frame].end <= at) {
      ++frame;
    }
    // Damage in a metadata frame or in the seek table loses no record. Some
    // bits of a frame do not change its text.
    const bool is_between =
        frame == sample_.frames.size() || at < sample_.frames[frame].begin;
    const std::string text = TextOf(Repair(bytes));
    if (text == sample_.text()) continue;
    ++lost_frames;
    EXPECT_FALSE(is_between);
    EXPECT_EQ(text, sample_.TextWithout(frame));
    if (HasFailure()) FAIL() << "byte " << at;
  }
  EXPECT_GT(lost_frames, 0);
}

// Text lines have no positions; the next frame shows where they end.
TEST_P(SegmentRepairTest, NewFrameHasPositionsAndRecoveredFlag) {
  std::string bytes = sample_.bytes;
  char& byte = bytes[sample_.frames[1].end + 30];
  byte = static_cast<char>(byte ^ 1);
  const std::string path = absl::StrCat(directory_, "/repaired");
  WriteFile(path, Repair(bytes));
  auto reader = SegmentReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  absl::string_view lines;
  size_t frame = 0;
  SegmentReader::Result result;
  while ((result = (*reader)->NextRecords(&lines)) !=
         SegmentReader::Result::kEnd) {
    if (result != SegmentReader::Result::kMetadata) continue;
    const FrameMetadata& metadata = (*reader)->metadata();
    EXPECT_EQ(metadata.identity.is_recovered, frame == 1);
    EXPECT_EQ(metadata.summary.first_position,
              sample_.frames[frame].first_position);
    EXPECT_EQ(metadata.summary.end_position,
              sample_.frames[frame].end_position);
    ++frame;
  }
  EXPECT_EQ(frame, sample_.frames.size());
}

TEST_P(SegmentRepairTest, CountsGapsAndRecordsOfOpenFrame) {
  // The counts of the last frame must be the same if it is intact and if it has
  // no metadata frame.
  const SampleSegment::Frame& last = sample_.frames.back();
  const std::string intact_path = absl::StrCat(directory_, "/intact");
  WriteFile(intact_path, sample_.bytes);
  const auto intact = BuildSegmentIndex(intact_path);
  const std::string path = absl::StrCat(directory_, "/repaired");
  WriteFile(path, Repair(sample_.bytes.substr(0, last.end)));
  const auto repaired = BuildSegmentIndex(path);
  ASSERT_TRUE(intact.ok() && repaired.ok());
  EXPECT_EQ(repaired->records, intact->records);
  EXPECT_EQ(repaired->gaps, intact->gaps);
  EXPECT_EQ(repaired->losses, intact->losses);
}

}  // namespace
}  // namespace ringlog
