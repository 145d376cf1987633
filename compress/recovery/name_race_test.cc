// Another user makes a file with the name of the next segment, after recovery
// has found the name free and before it creates the segment. Recovery must use
// another name, and the foreign file must not change.
//
// This file replaces openat(2): it makes the foreign file at the last moment.

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace {

// Numbers of the segments whose creation fails, and that has failed.
int g_races_left = 0;
int g_races_lost = 0;

}  // namespace

extern "C" int openat(int directory, const char* name, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  if ((flags & O_EXCL) != 0 && g_races_left > 0 &&
      absl::StrContains(name, ".log.zst")) {
    --g_races_left;
    ++g_races_lost;
    // The mode makes it foreign, so that the test need not be root.
    const auto fd = static_cast<int>(
        syscall(SYS_openat, directory, name, O_CREAT | O_EXCL | O_WRONLY, 0));
    fchmod(fd, 0666);
    close(fd);
  }
  return static_cast<int>(syscall(SYS_openat, directory, name, flags, mode));
}

namespace ringlog {
namespace {

using ::testing::IsEmpty;

// The parameter is the number of steps that the process makes before it dies.
class NameRaceTest : public ::testing::TestWithParam<size_t> {};

TEST_P(NameRaceTest, RecoveryUsesAnotherName) {
  const std::string directory = MakeTestDirectory();
  ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
  int logged = 0;
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript(), GetParam());
    logged = process.logged();
  }
  g_races_lost = 0;
  g_races_left = 5;
  EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  g_races_left = 0;
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
  int foreign = 0;
  for (const char* suffix : {".log.zst", ".log.zst.tmp"}) {
    for (const std::string& path : FilesIn(directory, suffix)) {
      if (!ReadFile(path).empty()) continue;
      ++foreign;
      unlink(path.c_str());
    }
  }
  EXPECT_EQ(foreign, g_races_lost);
  EXPECT_EQ(TextsIn(directory), NumberedTexts(logged));
}

INSTANTIATE_TEST_SUITE_P(EachStep, NameRaceTest,
                         ::testing::Range<size_t>(0, 27));

}  // namespace
}  // namespace ringlog
