// Tests of the process `ringlog verify`: its output for intact files and for
// each kind of damage, and its exit status.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Offsets in the payload of a metadata frame (compress/FORMAT.md), and its
// size.
constexpr size_t kMinTimeOffset = 72;
constexpr size_t kMaxTimeOffset = 80;
constexpr size_t kRecordsOffset = 88;
constexpr size_t kGapCountOffset = 120;
constexpr size_t kFirstPositionOffset = 56;
constexpr size_t kEndPositionOffset = 64;
constexpr size_t kMetadataFrameBytes = 8 + 144 + 4;

class VerifyTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  VerifyTest()
      : directory_(MakeTestDirectory()), process_(directory_, MakeOptions()) {
    for (const char* text : {"one", "two"}) process_.Log(text);
    process_.Flush();
    first_frame_ = ReadFile(segment()).size();
    for (const char* text : {"three", "four\nwith two lines", "five"}) {
      process_.Log(text);
    }
    process_.Flush();
    second_frame_ = ReadFile(segment()).size();
    process_.Log("six");
    process_.Flush();
  }

  static ScriptedProcess::Options MakeOptions() {
    ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
    options.format = GetParam();
    return options;
  }

  const std::string& segment() { return process_.segment_path(1); }

  // Closes the segment and deletes the ring.
  void Close() {
    process_.EndSegment();
    std::filesystem::remove(process_.ring_path());
  }

  // Runs the command, sets out_ to its output, and returns its exit status.
  int Verify(const std::vector<std::string>& paths) {
    std::vector<std::string> arguments = {"verify"};
    arguments.insert(arguments.end(), paths.begin(), paths.end());
    const ToolRun run = RunTool("ringlog", arguments);
    EXPECT_EQ(run.err, "");
    out_ = run.out;
    EXPECT_THAT(out_, HasSubstr("\ntotal: "));
    return run.exit_status;
  }

  void Flip(const std::string& path, uint64_t offset) {
    std::string content = ReadFile(path);
    ASSERT_LT(offset, content.size());
    content[offset] = static_cast<char>(content[offset] ^ 0x10);
    WriteFile(path, content);
  }

  // Adds 1 to a field of the second metadata frame and corrects its checksum.
  void Forge(size_t field) {
    std::string content = ReadFile(segment());
    const size_t payload = second_frame_ - kMetadataFrameBytes + 8;
    ++content[payload + field];
    const size_t covered = kMetadataFrameBytes - 8 - 4;
    const auto crc = static_cast<uint32_t>(absl::ComputeCrc32c(
        absl::string_view(content).substr(payload, covered)));
    content.replace(payload + covered, sizeof crc,
                    reinterpret_cast<const char*>(&crc), sizeof crc);
    WriteFile(segment(), content);
  }

  const std::string directory_;
  ScriptedProcess process_;
  // Offsets of the ends of the first two frames, with their metadata frames.
  size_t first_frame_ = 0;
  size_t second_frame_ = 0;
  std::string out_;
};

INSTANTIATE_TEST_SUITE_P(Formats, VerifyTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         [](const auto& tested) {
                           return tested.param == LineFormat::kText ? "Text"
                                                                    : "Json";
                         });

TEST_P(VerifyTest, PrintsLineForEachFile) {
  process_.EndSegment();
  process_.Log("seven");
  process_.Flush();
  process_.LeaveUnfinished();
  process_.Log("nine");
  EXPECT_EQ(Verify({directory_}), 0);
  EXPECT_EQ(
      out_,
      absl::StrCat(
          segment(), ": segment 1 of server, process ", getpid(),
          ": 3 frames, 6 records, positions 1 to 6, closed\n",
          process_.segment_path(2), ": segment 2 of server, process ", getpid(),
          ": 1 frame, 1 record, positions 7 to 7, being written\n",
          process_.ring_path(), ": ring of server, process ", getpid(),
          ", live: 1 record not in a segment, positions 9 to 9\n"
          "  position 8 missing: still being written when the process died\n"
          "total: 3 files, 8 records, 1 gap, 0 damaged, 0 unusable\n"));
}

TEST_P(VerifyTest, ReportsSegmentBeingWritten) {
  process_.Log("seven");
  EXPECT_EQ(Verify({directory_}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("6 records, positions 1 to 6, being "
                                    "written\n"),
                          HasSubstr(", live: 1 record not"),
                          Not(HasSubstr("seek table"))));
}

TEST_P(VerifyTest, DoesNotChangeItsInput) {
  const std::string ring = ReadFile(process_.ring_path());
  const std::string content = ReadFile(segment());
  Verify({directory_});
  EXPECT_TRUE(ReadFile(process_.ring_path()) == ring);
  EXPECT_TRUE(ReadFile(segment()) == content);
}

TEST_P(VerifyTest, ReportsDamagedFrame) {
  Close();
  Flip(segment(), first_frame_ + 30);
  EXPECT_EQ(Verify({directory_}), 1);
  EXPECT_THAT(
      out_,
      AllOf(HasSubstr(absl::StrCat("\n  [", first_frame_, "..",
                                   second_frame_ - kMetadataFrameBytes, "): ")),
            HasSubstr("the positions 3 to 5 were in it\n"),
            HasSubstr("3 records, positions 1 to 6"),
            HasSubstr("0 gaps, 1 damaged"),
            Not(HasSubstr("not match its metadata: records"))));
}

TEST_P(VerifyTest, ReportsDamagedMetadataFrame) {
  Close();
  const size_t metadata = second_frame_ - kMetadataFrameBytes;
  for (const size_t at : {metadata, metadata + 12, metadata + 100}) {
    Flip(segment(), at);
    EXPECT_EQ(Verify({segment()}), 1);
    EXPECT_THAT(out_, AllOf(HasSubstr(absl::StrCat("\n  [", metadata, "..")),
                            HasSubstr(", 6 records, "),
                            Not(HasSubstr("its metadata"))));
    Flip(segment(), at);
  }
  EXPECT_EQ(Verify({segment()}), 0);
}

TEST_P(VerifyTest, ReportsMetadataThatDoesNotMatch) {
  Close();
  struct Case {
    size_t field;
    std::string finding;
  };
  const std::vector<Case> cases = {
      {kRecordsOffset,
       "records by severity: the metadata has 4, 0, 0, 0, the text has 3, 0"},
      {kRecordsOffset + 16, "the metadata has 3, 0, 1, 0"},
      {kMinTimeOffset + 2, "first time: the metadata has "},
      {kMaxTimeOffset + 2, "last time: the metadata has "},
      {kGapCountOffset, "gaps: the metadata has 1, the text has 0"},
      {kFirstPositionOffset, "positions: the metadata has [4..6), the text "}};
  const std::string content = ReadFile(segment());
  for (const Case& c : cases) {
    WriteFile(segment(), content);
    Forge(c.field);
    EXPECT_EQ(Verify({segment()}), 1);
    EXPECT_THAT(out_, HasSubstr(c.finding));
    EXPECT_THAT(out_, HasSubstr("6 records")) << "all records must be counted";
  }
  // A wrong end position: the next frame begins before the end of this frame.
  WriteFile(segment(), content);
  Forge(kEndPositionOffset);
  EXPECT_EQ(Verify({segment()}), 1);
  EXPECT_THAT(out_, HasSubstr("positions 6 to 6 begins before the end of "
                              "the previous frame, 7"));
}

TEST_P(VerifyTest, ChecksEverySeekTableEntry) {
  Close();
  const std::string content = ReadFile(segment());
  const size_t entries =
      content.size() - 9 - size_t{6} * 8;  // 3 frames, 3 metadata frames.
  for (size_t at = entries; at < content.size() - 9; at += 4) {
    WriteFile(segment(), content);
    Flip(segment(), at);
    EXPECT_EQ(Verify({segment()}), 0)
        << "damage to the seek table costs no record";
    EXPECT_THAT(out_, HasSubstr(absl::StrCat("\n  entry ", (at - entries) / 8,
                                             " of the seek table has ")));
  }
  for (const size_t back : std::vector<size_t>{9, 5, 1}) {
    WriteFile(segment(), content);
    Flip(segment(), content.size() - back);
    EXPECT_EQ(Verify({segment()}), 0) << back;
    EXPECT_THAT(out_, HasSubstr("\n  no seek table at its end")) << back;
  }
}

TEST_P(VerifyTest, ReportsTruncatedSegment) {
  process_.EndSegment();
  std::filesystem::resize_file(segment(), second_frame_ + 40);
  EXPECT_EQ(Verify({segment()}), 1);
  EXPECT_THAT(out_,
              AllOf(HasSubstr(", not closed\n"),
                    HasSubstr("5 records, positions 1 to 5"),
                    HasSubstr(absl::StrCat("\n  [", second_frame_, "..",
                                           second_frame_ + 40, "): cut off"))));
}

TEST_P(VerifyTest, ReportsSegmentShorterThanCursor) {
  const size_t bytes = ReadFile(segment()).size();
  std::filesystem::resize_file(segment(), second_frame_);
  EXPECT_EQ(Verify({directory_}), 1);
  EXPECT_THAT(out_, HasSubstr(absl::StrCat("[", second_frame_, "..", bytes,
                                           "): truncated; the ring's cursor")));
}

TEST_P(VerifyTest, OpenFrameWithoutItsRingIsUnverified) {
  ScriptedProcess::Options options = MakeOptions();
  options.frame_bytes = 1 << 20;
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory, options);
  for (const char* text : {"one", "two"}) {
    process.Log(text);
    process.Flush();
  }
  EXPECT_EQ(Verify({directory}), 0);
  EXPECT_THAT(out_, Not(HasSubstr("unverified")));
  EXPECT_EQ(Verify({process.segment_path(1)}), 1);
  EXPECT_THAT(out_, HasSubstr("): the records in these bytes are unverified; "
                              "no checksum covers them\n"));
}

// In this segment, the first batch is a complete frame. The other batches are
// in the open frame.
TEST_P(VerifyTest, PositionsIncludeOpenFrame) {
  ScriptedProcess::Options options = MakeOptions();
  options.frame_bytes = 1 << 20;
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory, options);
  for (const char* text : {"one", "two", "three"}) {
    process.Log(text);
    process.Flush();
  }
  const std::string path = process.segment_path(1);
  EXPECT_EQ(Verify({directory}), 0);
  EXPECT_THAT(out_, HasSubstr(": 1 frame, 3 records, positions 1 to 3, being "
                              "written\n"));
  // The command line does not name the ring.
  const std::string no_end = "\n  was not closed; its unwritten records ";
  const std::string ring = absl::StrCat("in the ring of process ", getpid());
  EXPECT_EQ(Verify({path}), 1);
  EXPECT_THAT(out_,
              AllOf(HasSubstr(": 1 frame, 3 records, positions from 1, not "
                              "closed\n"),
                    HasSubstr(absl::StrCat(
                        no_end, "are ", ring,
                        "; give that ring too, or the directory\n"))));
  std::filesystem::remove(process.ring_path());
  EXPECT_EQ(Verify({directory}), 1);
  EXPECT_THAT(out_,
              HasSubstr(absl::StrCat(no_end, "were ", ring,
                                     ", which is not in this directory\n")));
}

TEST_P(VerifyTest, DoesNotAskForGivenRing) {
  ScriptedProcess::Options options = MakeOptions();
  options.frame_bytes = 1 << 20;
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory, options);
  for (const char* text : {"one", "two"}) {
    process.Log(text);
    process.Flush();
  }
  const std::string without_end = ReadFile(process.segment_path(1));
  process.EndSegment();
  process.Log("three");
  process.Flush();
  WriteFile(process.segment_path(1), without_end);
  EXPECT_EQ(Verify({directory}), 1);
  EXPECT_THAT(out_, HasSubstr("still open\n  was not closed\n"));
}

TEST_P(VerifyTest, ReportsMissingSegment) {
  process_.EndSegment();
  for (const char* text : {"seven", "eight"}) {
    process_.Log(text);
    process_.Flush();
    process_.EndSegment();
  }
  std::filesystem::remove(process_.segment_path(2));
  EXPECT_EQ(Verify({directory_}), 1);
  EXPECT_THAT(out_, HasSubstr("  the positions 7 to 7 are missing before it"));
}

TEST_P(VerifyTest, ReportsDropsInSegment) {
  Gap gap;
  gap.cause = GapCause::kRingFull;
  gap.first_position = gap.end_position = 7;
  gap.records = {812, 3, 0, 0};
  process_.AddGapToNextBatch(gap);
  process_.Log("seven");
  process_.Flush();
  Close();
  EXPECT_EQ(Verify({segment()}), 1);
  EXPECT_THAT(out_, AllOf(HasSubstr("\n  812 INFO, 3 WARNING records dropped "
                                    "before position 7: the ring was full\n"),
                          HasSubstr("7 records, 1 gap, 0 damaged")));
}

TEST_P(VerifyTest, ReportsDamagedRingRecordAsGap) {
  process_.Log("a text that is not in a segment");
  const std::string content = ReadFile(process_.ring_path());
  Flip(process_.ring_path(), content.find("a text that is not"));
  EXPECT_EQ(Verify({directory_}), 1);
  EXPECT_THAT(out_, HasSubstr("  position 7 missing: the bytes are not those "
                              "that were written\n"));
}

TEST_P(VerifyTest, ReportsDropsInRing) {
  for (int i = 0; i < 100; ++i) process_.Log(absl::StrCat(i));
  EXPECT_EQ(Verify({process_.ring_path()}), 1);
  EXPECT_THAT(out_, HasSubstr("INFO records dropped before position "));
}

TEST_P(VerifyTest, ReportsTruncatedRing) {
  process_.Log("seven");
  const std::string content = ReadFile(process_.ring_path());
  const size_t bytes = content.size();
  std::filesystem::remove(process_.ring_path());
  WriteFile(process_.ring_path(), content.substr(0, bytes - 1000));
  EXPECT_EQ(Verify({directory_}), 1);
  EXPECT_THAT(out_, AllOf(HasSubstr(absl::StrCat("  [", bytes - 1000, "..",
                                                 bytes, "): truncated\n")),
                          HasSubstr("1 damaged")));
}

TEST_P(VerifyTest, UnusableInputDoesNotStopOtherInputs) {
  Close();
  WriteFile(directory_ + "/notes", "I am no log\n");
  EXPECT_EQ(Verify({directory_ + "/notes", "/nowhere/at.ring", segment()}), 2);
  EXPECT_THAT(
      out_, AllOf(StartsWith(segment() + ": segment 1 of server"),
                  HasSubstr(directory_ + "/notes\n  unusable: neither"),
                  HasSubstr("/nowhere/at.ring\n  unusable: "),
                  HasSubstr("\ntotal: 3 files, 6 records, 0 gaps, 0 damaged, 2 "
                            "unusable\n")));
}

TEST_P(VerifyTest, RecognizesOtherZstdFile) {
  Close();
  // The first frame without its metadata frame.
  const std::string path = directory_ + "/foreign.zst";
  WriteFile(path,
            ReadFile(segment()).substr(0, first_frame_ - kMetadataFrameBytes));
  EXPECT_EQ(Verify({path}), 0);
  EXPECT_THAT(out_, HasSubstr("zstd file without ringlog metadata: 2 rec"));
}

TEST_P(VerifyTest, FileNameForgesNoLine) {
  Close();
  const std::string path = directory_ + "/a\ntotal: 0 files\x1B[2J";
  std::filesystem::rename(segment(), path);
  EXPECT_EQ(Verify({path}), 0);
  EXPECT_THAT(out_, HasSubstr("/a\\x0atotal: 0 files\\x1b[2J: segment 1"));
}

}  // namespace
}  // namespace ringlog
