// What is made of a segment that was cut or damaged anywhere.

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
#include "ringlog/testing/harness/read_segments.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

class SegmentRepairTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  SegmentRepairTest()
      : sample_(MakeSampleSegment(GetParam(), 4, TestSeed())),
        directory_(MakeTestDirectory()) {}

  // The file that `bytes` become; it is whole, and mending it again changes
  // nothing.
  std::string Mend(const std::string& bytes) {
    std::string once = MendOnce(bytes);
    EXPECT_EQ(MendOnce(once), once);
    return once;
  }

  std::string MendOnce(const std::string& bytes) {
    const std::string from = absl::StrCat(directory_, "/", ++files_);
    const std::string to = absl::StrCat(from, ".mended");
    WriteFile(from, bytes);
    const absl::StatusOr<SegmentIndex> content = BuildSegmentIndex(from);
    EXPECT_TRUE(content.ok()) << content.status();
    if (!content.ok()) return "";
    const absl::Status mended = RepairSegment(from, *content, to);
    EXPECT_TRUE(mended.ok()) << mended;
    EXPECT_EQ(ReadFile(from), bytes);
    const absl::StatusOr<SegmentIndex> result = BuildSegmentIndex(to);
    EXPECT_TRUE(result.ok() && result->is_whole);
    return ReadFile(to);
  }

  // By libzstd alone.
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

TEST_P(SegmentRepairTest, OneThatIsWholeStaysTheSame) {
  EXPECT_EQ(Mend(sample_.bytes), sample_.bytes);
}

TEST_P(SegmentRepairTest, OneThatIsCutAnywhereKeepsTheRecordsThatItHas) {
  std::set<size_t> cuts;  // round every block's end, and others
  for (const SampleSegment::Frame& frame : sample_.frames) {
    for (const SampleSegment::Block& block : frame.blocks) {
      cuts.insert({block.end - 1, block.end, block.end + 1});
    }
    cuts.insert({frame.end, frame.metadata_end - 1, frame.metadata_end});
  }
  for (size_t cut = sample_.frames[0].metadata_end; cut < sample_.bytes.size();
       cut += 29) {
    cuts.insert(cut);
  }
  cuts.erase(cuts.begin(), cuts.lower_bound(sample_.frames[0].metadata_end));
  for (const size_t cut : cuts) {
    const std::string mended = Mend(sample_.bytes.substr(0, cut));
    EXPECT_EQ(TextOf(mended), sample_.TextUpTo(cut));
    if (cut >= sample_.frames.back().metadata_end) {
      EXPECT_EQ(mended, sample_.bytes);
    }
    if (HasFailure()) FAIL() << "cut at " << cut;
  }
}

TEST_P(SegmentRepairTest, AChangedByteCostsItsFrameAndNoMore) {
  int lost_frames = 0;
  for (size_t at = TestSeed() % 17; at < sample_.bytes.size(); at += 17) {
    std::string bytes = sample_.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    size_t frame = 0;
    while (frame < sample_.frames.size() && sample_.frames[frame].end <= at) {
      ++frame;
    }
    // Metadata, or the table: no record is lost. In a frame there are bits that
    // change nothing.
    const bool is_between =
        frame == sample_.frames.size() || at < sample_.frames[frame].begin;
    const std::string text = TextOf(Mend(bytes));
    if (text == sample_.text()) continue;
    ++lost_frames;
    EXPECT_FALSE(is_between);
    EXPECT_EQ(text, sample_.TextWithout(frame));
    if (HasFailure()) FAIL() << "byte " << at;
  }
  EXPECT_GT(lost_frames, 0);
}

// The positions that text does not tell: the next frame says where they end.
TEST_P(SegmentRepairTest, AFrameThatIsMadeAnewHasItsPositionsAndSaysByWhom) {
  std::string bytes = sample_.bytes;
  char& byte = bytes[sample_.frames[1].end + 30];
  byte = static_cast<char>(byte ^ 1);
  const std::string path = absl::StrCat(directory_, "/mended");
  WriteFile(path, Mend(bytes));
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

TEST_P(SegmentRepairTest, GapsAndRecordsOfAnOpenFrameAreCountedAsTheyAre) {
  // The last frame is whole, then open: it says the same of itself.
  const SampleSegment::Frame& last = sample_.frames.back();
  const std::string whole_path = absl::StrCat(directory_, "/whole");
  WriteFile(whole_path, sample_.bytes);
  const auto whole = BuildSegmentIndex(whole_path);
  const std::string path = absl::StrCat(directory_, "/mended");
  WriteFile(path, Mend(sample_.bytes.substr(0, last.end)));
  const auto mended = BuildSegmentIndex(path);
  ASSERT_TRUE(whole.ok() && mended.ok());
  EXPECT_EQ(mended->records, whole->records);
  EXPECT_EQ(mended->gaps, whole->gaps);
  EXPECT_EQ(mended->losses, whole->losses);
}

}  // namespace
}  // namespace ringlog
