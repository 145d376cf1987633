// Tests `ringlog recover` of segments without a ring.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class RecoverSegmentTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  RecoverSegmentTest()
      : sample_(MakeSampleSegment(GetParam(), 4, TestSeed())),
        name_(absl::StrCat(
            "program.host.20261124-034019.12345.5f3a9c1b.000001",
            GetParam() == LineFormat::kText ? ".log.zst" : ".jsonl.zst")),
        path_(absl::StrCat(MakeTestDirectory(), "/", name_)),
        output_(MakeTestDirectory()) {}

  // Recovers a segment with `bytes`. Expects that the source stays unchanged.
  ToolRun RunRecover(const std::string& bytes) {
    WriteFile(path_, bytes);
    std::filesystem::remove_all(output_);
    ToolRun run = RunTool("ringlog", {"recover", path_, "--out", output_});
    EXPECT_EQ(ReadFile(path_), bytes);
    return run;
  }
  std::string result_path() const { return absl::StrCat(output_, "/", name_); }

  const SampleSegment sample_;
  const std::string name_;
  const std::string path_;
  const std::string output_;
};

INSTANTIATE_TEST_SUITE_P(, RecoverSegmentTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson));

TEST_P(RecoverSegmentTest, CompleteSegmentIsCopied) {
  const ToolRun run = RunRecover(sample_.bytes);
  EXPECT_EQ(run.exit_status, 0) << run.err;
  EXPECT_EQ(ReadFile(result_path()), sample_.bytes);
}

TEST_P(RecoverSegmentTest, TruncatedSegmentIsClosedAndReported) {
  const SampleSegment::Frame& frame = sample_.frames[2];
  for (const uint64_t cut : {frame.blocks[1].end, frame.metadata_end}) {
    const ToolRun run = RunRecover(sample_.bytes.substr(0, cut));
    EXPECT_EQ(run.exit_status, 1);
    EXPECT_THAT(run.err, HasSubstr(path_));
    bool complete = false;
    EXPECT_EQ(Decompress(result_path(), &complete), sample_.TextUpTo(cut));
    EXPECT_TRUE(complete);
    EXPECT_EQ(RunTool("ringlog", {"cat", result_path()}).err, "");
  }
}

// In the source, no checksum covers the records of the open frame.
TEST_P(RecoverSegmentTest, RecordsOfOpenFrameAreReportedAsUnverified) {
  const SampleSegment::Frame& frame = sample_.frames[2];
  const std::string unverified =
      absl::StrCat(path_, ": [", frame.begin, "..", frame.blocks[1].end,
                   "): the records in these bytes are unverified");
  EXPECT_THAT(RunRecover(sample_.bytes.substr(0, frame.blocks[1].end)).err,
              HasSubstr(unverified));
  EXPECT_THAT(RunRecover(sample_.bytes.substr(0, frame.metadata_end)).err,
              Not(HasSubstr("unverified")));
}

TEST_P(RecoverSegmentTest, DamagedFramesAreRemovedAndReported) {
  const SampleSegment::Frame& frame = sample_.frames[1];
  std::string bytes = sample_.bytes;
  // This byte is in the checksum of the frame. In other bytes, zstd may ignore
  // the bit.
  char& byte = bytes[frame.end - 1];
  byte = static_cast<char>(byte ^ 1);
  const ToolRun run = RunRecover(bytes);
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err,
              HasSubstr(absl::StrCat(path_, ": [", frame.begin, "..")));
  EXPECT_EQ(Decompress(result_path()), sample_.TextWithout(1));
}

TEST_P(RecoverSegmentTest, UnidentifiedSegmentIsReported) {
  const ToolRun truncated =
      RunRecover(sample_.bytes.substr(0, sample_.frames[0].end - 1));
  EXPECT_EQ(truncated.exit_status, 1);
  EXPECT_THAT(truncated.err, HasSubstr(path_));
  EXPECT_THAT(FilesIn(output_, ""), IsEmpty());
  EXPECT_EQ(RunRecover("").exit_status, 2);
  EXPECT_EQ(RunRecover("not a segment").exit_status, 2);
}

// The second run finds fewer records than the first.
TEST_P(RecoverSegmentTest, TruncatedSegmentDoesNotReplaceCompleteCopy) {
  ASSERT_EQ(RunRecover(sample_.bytes).exit_status, 0);
  WriteFile(path_, sample_.bytes.substr(0, sample_.frames[2].end));
  const ToolRun run = RunTool("ringlog", {"recover", path_, "--out", output_});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_EQ(ReadFile(result_path()), sample_.bytes);
}

// One of two segments with the same identity may be forged. Therefore a segment
// does not replace the other one, even if it has more records.
TEST_P(RecoverSegmentTest, SegmentWithOtherRecordsReplacesNoSegment) {
  for (const size_t frames : {2, 6}) {
    ASSERT_EQ(RunRecover(sample_.bytes).exit_status, 0);
    WriteFile(path_,
              MakeSampleSegment(GetParam(), frames, TestSeed() + 1).bytes);
    const ToolRun run =
        RunTool("ringlog", {"recover", path_, "--out", output_});
    EXPECT_EQ(run.exit_status, 2) << frames;
    EXPECT_THAT(run.err, HasSubstr(path_));
    EXPECT_THAT(run.err, HasSubstr(result_path()));
    EXPECT_EQ(ReadFile(result_path()), sample_.bytes);
  }
}

TEST_P(RecoverSegmentTest, SegmentInOutputStaysUnchanged) {
  const std::string bytes = sample_.bytes.substr(0, sample_.frames[2].end);
  WriteFile(path_, bytes);
  const std::string directory = path_.substr(0, path_.rfind('/'));
  const ToolRun run =
      RunTool("ringlog", {"recover", directory, "--out", directory});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err, HasSubstr(path_));
  EXPECT_EQ(ReadFile(path_), bytes);
  EXPECT_EQ(FilesIn(directory, ""), std::vector<std::string>{path_});
}

}  // namespace
}  // namespace ringlog
