// Tests the modes of the segments that `ringlog recover --out` makes. They
// grant a right only if the source and the logging program both grant it.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

class RecoverModeTest : public ::testing::Test {
 protected:
  RecoverModeTest() : umask_(umask(0)) {}
  ~RecoverModeTest() override { umask(umask_); }

  // Makes a process that dies with a closed segment, an open frame in the next
  // one, and records in its ring.
  void LogAndDieWithMode(mode_t mode) const {
    ScriptedProcess::Options options = ScriptedProcess::OpenFrames();
    options.ring.segment_mode = mode;
    ScriptedProcess process(source_, options);
    for (int batch = 0; batch < 3; ++batch) {
      process.LogNumbered(2);
      process.Flush();
      if (batch == 0) process.EndSegment();
    }
    process.LogNumbered(2);
  }
  // Makes a process that dies with a closed segment, and records in its ring.
  void LogAfterSegment(mode_t mode) const {
    ScriptedProcess::Options options = ScriptedProcess::OpenFrames();
    options.ring.segment_mode = mode;
    ScriptedProcess process(source_, options);
    process.LogNumbered(2);
    process.Flush();
    process.EndSegment();
    process.LogNumbered(2);
  }
  void ChangeModes(mode_t mode) const {
    for (const std::string& path : FilesIn(source_, ".zst")) {
      ASSERT_EQ(chmod(path.c_str(), mode), 0);
    }
  }

  void Recover() const {
    const ToolRun run = RunTool("ringlog", {"recover", source_, "--out", out_});
    EXPECT_EQ(run.exit_status, 0) << run.err;
  }
  std::vector<mode_t> Modes() const {
    std::vector<mode_t> modes;
    for (const std::string& path : FilesIn(out_, ".zst")) {
      struct stat st = {};
      EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
      modes.push_back(st.st_mode & ACCESSPERMS);
    }
    return modes;
  }

  const std::string source_ = MakeTestDirectory();
  const std::string out_ = MakeTestDirectory();

 private:
  const mode_t umask_;
};

TEST_F(RecoverModeTest, CopyIsNotMoreReadableThanItsSource) {
  LogAndDieWithMode(0600);
  Recover();
  EXPECT_THAT(Modes(), SizeIs(2));
  EXPECT_THAT(Modes(), Each(mode_t{0600}));
}

// An administrator removed rights from existing segments.
TEST_F(RecoverModeTest, CopyKeepsReducedModeOfSegment) {
  LogAndDieWithMode(0640);
  ChangeModes(0600);
  Recover();
  EXPECT_THAT(Modes(), Each(mode_t{0600}));
}

TEST_F(RecoverModeTest, CopyIsNotMoreReadableThanModeInRing) {
  LogAndDieWithMode(0600);
  ChangeModes(0666);
  Recover();
  EXPECT_THAT(Modes(), Each(mode_t{0600}));
}

TEST_F(RecoverModeTest, SegmentWithoutRingLosesWriteRightsOfOthers) {
  LogAndDieWithMode(0640);
  ASSERT_EQ(unlink(FilesIn(source_, ".ring").at(0).c_str()), 0);
  for (const auto& [mode, expected] :
       {std::pair<mode_t, mode_t>{0600, 0600}, {0644, 0644}, {0666, 0644}}) {
    ChangeModes(mode);
    std::filesystem::remove_all(out_);
    // The exit status is 1, because the open frame has no metadata.
    RunTool("ringlog", {"recover", source_, "--out", out_});
    EXPECT_THAT(Modes(), SizeIs(2));
    EXPECT_THAT(Modes(), Each(expected));
  }
}

// The second run replaces the segments of the first run.
TEST_F(RecoverModeTest, ReplacesSegmentsThatTheGroupMayWrite) {
  LogAfterSegment(0660);
  for (int run = 0; run < 2; ++run) {
    Recover();
    EXPECT_EQ(TextsIn(out_), NumberedTexts(4));
    EXPECT_THAT(Modes(), Each(mode_t{0660}));
  }
}

}  // namespace
}  // namespace ringlog
