// Runs the tools while another process recovers, writes or replaces the same
// files. The tools find each record once, although records move to other files.
//
// The test replaces fcntl(2), by which the tools query the lock of a ring, and
// stat(2), to do the work of the other process at the right moment.

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/command/recover.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/ring_image.h"
#include "ringlog/tools/decode/source.h"

namespace ringlog {
namespace {

// Called before the next query of a lock.
std::function<void()> g_at_lock;
// Called after the next stat(2) of g_stat_path.
std::function<void()> g_after_stat;
std::string g_stat_path;

// Leaves two rings with five records each.
std::vector<std::string> LeaveTwoRings(const std::string& directory) {
  for (int i = 0; i < 2; ++i) {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(5);
  }
  return FilesIn(directory, ".ring");
}

TEST(RecoverRaceTest, FindsRecordsOfRingRecoveredMeanwhile) {
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  const std::vector<std::string> rings = LeaveTwoRings(directory);
  ASSERT_EQ(rings.size(), 2u);
  // When the tool queries the lock of the first ring, the other process
  // recovers the second ring.
  g_at_lock = [&] {
    EXPECT_TRUE(
        RecoverLeftover(rings[1], directory, SegmentWriterOptions()).ok());
  };
  const int exit_status = Recover({directory}, output);
  EXPECT_EQ(FilesIn(directory, ".ring").size(), 1u);
  EXPECT_EQ(exit_status, 0);
  EXPECT_EQ(AllLines(output).size(), 10u);
}

// At the first search, the process is alive and has one segment. Then the
// process begins more segments, and dies before the tool queries the lock of
// its ring.
TEST(RecoverRaceTest, FindsSegmentsBegunAfterFirstSearch) {
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  auto process = std::make_unique<ScriptedProcess>(
      directory, ScriptedProcess::OpenFrames());
  process->LogNumbered(5);
  process->Flush();
  g_at_lock = [&] {
    process->EndSegment();
    for (int i = 0; i < 2; ++i) {
      process->LogNumbered(5);
      process->Flush();
      process->EndSegment();
    }
    process->LogNumbered(5);
    process.reset();
  };
  const int exit_status = Recover({directory}, output);
  ASSERT_EQ(g_at_lock, nullptr) << "the process did not die";
  EXPECT_EQ(exit_status, 0);
  EXPECT_EQ(TextsIn(output), NumberedTexts(20));
}

// Retention of the process deletes a segment that the tool has found.
TEST(RecoverRaceTest, DeletedSegmentIsNotDamage) {
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  auto process = std::make_unique<ScriptedProcess>(
      directory, ScriptedProcess::OpenFrames());
  for (int i = 0; i < 3; ++i) {
    process->LogNumbered(5);
    process->Flush();
    process->EndSegment();
  }
  g_at_lock = [&] {
    std::filesystem::remove(process->segment_path(1));
    process.reset();
  };
  EXPECT_EQ(Recover({directory}, output), 0);
  EXPECT_EQ(TextsIn(output).size(), 10u);
}

// Tests the plan of `cat` and `verify`. The tool reads the ring before its
// recovery, so the new segment has the same records as the ring.
TEST(RecoverRaceTest, RingRecoveredAfterReadingCountsOnce) {
  const std::string directory = MakeTestDirectory();
  const std::vector<std::string> rings = LeaveTwoRings(directory);
  ASSERT_EQ(rings.size(), 2u);
  const DecodeSink sink;
  Report report(&sink);
  std::vector<SourcePlan> plans =
      MakePlan({directory}, &report, [&](const std::string& path) {
        if (path == rings[1]) {
          EXPECT_TRUE(
              RecoverLeftover(rings[0], directory, SegmentWriterOptions())
                  .ok());
        }
        return RingImage::Read(path);
      });
  int records = 0;
  for (const SourcePlan& plan : plans) {
    Source source(&plan, &report);
    while (source.Next()) ++records;
  }
  EXPECT_EQ(records, 10);
}

// After the search, another user replaces a ring by another file.
TEST(RecoverRaceTest, RingReplacedByAnotherUserIsNotRecovered) {
  if (!MayActForOtherUsers()) {
    GTEST_SKIP() << "needs root, and the ids of other users";
  }
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  const std::vector<std::string> rings = LeaveTwoRings(directory);
  ASSERT_EQ(rings.size(), 2u);
  g_at_lock = [&] {
    const std::string content = ReadFile(rings[1]);
    std::filesystem::remove(rings[1]);
    WriteFile(rings[1], content);
    EXPECT_EQ(chown(rings[1].c_str(), 12345, 12345), 0);
  };
  EXPECT_EQ(Recover({directory}, output), 2);
  ASSERT_EQ(g_at_lock, nullptr) << "the ring was not replaced";
  EXPECT_EQ(AllLines(output).size(), 5u);
}

// Another user replaces the directory that the tool recovers by another
// directory with a ring of the same name. The tool must not recover this ring.
TEST(RecoverRaceTest, RingOfReplacedDirectoryIsNotRecovered) {
  const std::string directory = MakeTestDirectory() + "/log";
  const std::string other = MakeTestDirectory() + "/log";
  for (const std::string& path : {directory, other}) {
    std::filesystem::create_directory(path);
  }
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(5);
  }
  const std::string ring = FilesIn(directory, ".ring").at(0);
  const std::string content = ReadFile(ring);
  const std::string name = std::filesystem::path(ring).filename();
  WriteFile(other + "/" + name, content);
  // The last step before the tool opens the ring for recovery is the comparison
  // of the directory with the output.
  g_at_lock = [&] {
    g_stat_path = directory;
    g_after_stat = [&] {
      std::filesystem::rename(directory, directory + ".moved");
      std::filesystem::rename(other, directory);
    };
  };
  EXPECT_EQ(Recover({directory}, directory), 2);
  ASSERT_EQ(g_after_stat, nullptr) << "the directory was not replaced";
  EXPECT_EQ(ReadFile(ring), content);
  EXPECT_TRUE(FilesIn(directory, ".zst").empty());
  EXPECT_TRUE(FilesIn(directory + ".moved", ".zst").empty());
}

}  // namespace
}  // namespace ringlog

extern "C" int stat(const char* path, struct stat* st) {
  const int result = fstatat(AT_FDCWD, path, st, 0);
  if (ringlog::g_after_stat != nullptr && path == ringlog::g_stat_path) {
    std::exchange(ringlog::g_after_stat, {})();
  }
  return result;
}

extern "C" int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (command == F_OFD_GETLK && ringlog::g_at_lock != nullptr) {
    std::exchange(ringlog::g_at_lock, {})();
  }
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}
