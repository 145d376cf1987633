// Attacks by another user who may read segments, and put rings and segments
// with their ring id next to them.
//
// Invariant checked: the commands find all records of the segments.

#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

constexpr uid_t kAttacker = 12345;

class ForgedRingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MayActForOtherUsers()) {
      GTEST_SKIP() << "needs root, and the ids of other users";
    }
  }

  // Leaves two closed segments with five records each, and no ring. Returns a
  // copy of the ring from the time before the first record.
  std::string LogAndClose() {
    ScriptedProcess process(directory_);
    process.NameSegment();
    const std::string ring = ReadFile(process.ring_path());
    process.CreateSegment();
    for (int i = 0; i < 2; ++i) {
      process.LogNumbered(5);
      ring_of_second_segment_ = ReadFile(process.ring_path());
      process.Flush();
      process.EndSegment();
    }
    ring_name_ = Basename(process.ring_path());
    EXPECT_EQ(unlink(process.ring_path().c_str()), 0);
    return ring;
  }

  // Writes a file of the attacker.
  void Forge(const std::string& path, const std::string& content) {
    WriteFile(path, content);
    ASSERT_EQ(chown(path.c_str(), kAttacker, kAttacker), 0);
  }

  // Expects all records in the output of `cat`, and all segments in the output
  // of `verify`.
  void ExpectReadersFindAll(const std::vector<std::string>& paths) {
    std::vector<std::string> words = {"cat"};
    words.insert(words.end(), paths.begin(), paths.end());
    const ToolRun cat = RunTool("ringlog", words);
    for (const std::string& text : NumberedTexts(10)) {
      EXPECT_THAT(cat.out, HasSubstr(text + "\n")) << cat.err;
    }
    words[0] = "verify";
    const ToolRun verify = RunTool("ringlog", words);
    for (const std::string& path : FilesIn(directory_, ".zst")) {
      EXPECT_THAT(verify.out, HasSubstr(path)) << verify.err;
    }
  }

  void ExpectRecoverFindsAll(const std::vector<std::string>& paths) {
    const std::string output = MakeTestDirectory();
    std::vector<std::string> words = {"recover", "--out", output};
    words.insert(words.end(), paths.begin(), paths.end());
    const ToolRun run = RunTool("ringlog", words);
    EXPECT_THAT(TextsIn(output), IsSupersetOf(NumberedTexts(10))) << run.err;
  }

  const std::string directory_ = MakeTestDirectory();
  std::string ring_name_;
  // A copy of the ring from the time before the second segment had a record.
  // Recovery makes a segment from the copy, with the name of the second
  // segment.
  std::string ring_of_second_segment_;
};

TEST_F(ForgedRingTest, ForgedRingHidesNoSegments) {
  const std::string ring = LogAndClose();
  for (const std::string& place : {directory_, MakeTestDirectory()}) {
    const std::string path = absl::StrCat(place, "/", ring_name_);
    Forge(path, ring);
    ExpectReadersFindAll({path, directory_});
    ExpectRecoverFindsAll({path, directory_});
    unlink(path.c_str());
  }
}

TEST_F(ForgedRingTest, OwnerOfForgedFilesIsReported) {
  LogAndClose();
  EXPECT_EQ(RunTool("ringlog", {"cat", directory_}).err, "");
  Forge(absl::StrCat(directory_, "/a.log.zst"),
        ReadFile(FilesIn(directory_, ".zst").at(0)));
  const ToolRun run = RunTool("ringlog", {"cat", directory_});
  EXPECT_THAT(run.err, HasSubstr(absl::StrCat("users with the ids ", kAttacker,
                                              ", and belongs to user 0")));
}

// The attacker makes files with the names of the next segments, for every
// second of a minute. These files sort before the segments of the process.
TEST_F(ForgedRingTest, ForgedFilesWithNumbersOfSegmentsHideNoSegment) {
  const std::string forged = Compress("forged\n");
  {
    ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
    const RingHeader& header = process.ring()->header();
    for (int64_t second = -1; second < 60; ++second) {
      const int64_t time = header.created_unix_ns + second * 1000000000;
      for (const uint64_t number : {1, 2, 3}) {
        Forge(absl::StrCat(
                  directory_, "/",
                  SegmentFileName(header, number, time, LineFormat::kText)),
              forged);
      }
    }
    process.LogNumbered(4);
    process.Flush();
    process.EndSegment();
    // The attacker also copies a segment under another name.
    Forge(absl::StrCat(directory_, "/",
                       SegmentFileName(header, 1, /*open_time_ns=*/0,
                                       LineFormat::kText)),
          ReadFile(process.segment_path(1)));
    process.LogNumbered(1);
    process.Flush();
    process.LogNumbered(5);
  }
  const ToolRun cat = RunTool("ringlog", {"cat", directory_});
  EXPECT_EQ(cat.exit_status, 0);
  EXPECT_THAT(cat.err, HasSubstr("more such files"));
  std::vector<std::string> texts;
  for (const absl::string_view line :
       absl::StrSplit(cat.out, '\n', absl::SkipEmpty())) {
    if (line != "forged") texts.emplace_back(TextOfLine(line));
  }
  EXPECT_EQ(texts, NumberedTexts(10));
  // The process has no segment with number 3, so only the attacker has one.
  const std::string output = MakeTestDirectory();
  const ToolRun recover =
      RunTool("ringlog", {"recover", directory_, "--out", output});
  EXPECT_EQ(recover.exit_status, 0) << recover.err;
  EXPECT_EQ(TextsIn(output), NumberedTexts(10)) << recover.err;
}

// The user of the ring has a segment with this number, but it is damaged.
TEST_F(ForgedRingTest, TrustedCopyIsReadInsteadOfADamagedSegment) {
  const std::string copies = MakeTestDirectory();
  {
    ScriptedProcess process(directory_);
    process.LogNumbered(5);
    process.Flush();
    process.EndSegment();
    const std::string segment = process.segment_path(1);
    WriteFile(absl::StrCat(copies, "/", Basename(segment)), ReadFile(segment));
    WriteFile(segment, "damaged");
    ASSERT_EQ(chown(segment.c_str(), kAttacker, kAttacker), 0);
    ASSERT_EQ(chown(process.ring_path().c_str(), kAttacker, kAttacker), 0);
  }
  const ToolRun cat = RunTool("ringlog", {"cat", directory_, copies});
  for (const std::string& text : NumberedTexts(5)) {
    EXPECT_THAT(cat.out, HasSubstr(text + "\n")) << cat.err;
  }
  EXPECT_EQ(cat.exit_status, 2) << "the damaged file must be reported";
}

TEST_F(ForgedRingTest, ForgedSegmentReplacesNoSegment) {
  LogAndClose();
  const std::string honest = FilesIn(directory_, ".zst").at(0);
  const std::string place = MakeTestDirectory();
  Forge(absl::StrCat(place, "/a.log.zst"), ReadFile(honest));
  ExpectReadersFindAll({place, directory_});
  ExpectRecoverFindsAll({place, directory_});
}

TEST_F(ForgedRingTest, ForgedRingDoesNotReplaceSegmentWithSameName) {
  LogAndClose();
  const std::string path = absl::StrCat(MakeTestDirectory(), "/a.ring");
  Forge(path, ring_of_second_segment_);
  ExpectRecoverFindsAll({path, directory_});
}

// The command trusts neither of the two users.
TEST_F(ForgedRingTest, ForgedRingDoesNotReplaceSegmentOfUntrustedUser) {
  LogAndClose();
  const std::vector<std::string> segments = FilesIn(directory_, ".zst");
  for (const std::string& segment : segments) {
    ASSERT_EQ(chown(segment.c_str(), kAttacker + 1, kAttacker + 1), 0);
  }
  const std::string path = absl::StrCat(MakeTestDirectory(), "/a.ring");
  Forge(path, ring_of_second_segment_);
  const std::string output = MakeTestDirectory();
  const ToolRun run =
      RunTool("ringlog", {"recover", path, directory_, "--out", output});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(path));
  EXPECT_THAT(run.err, HasSubstr(segments[1]));
  EXPECT_EQ(TextsIn(output), NumberedTexts(10));
}

}  // namespace
}  // namespace ringlog
