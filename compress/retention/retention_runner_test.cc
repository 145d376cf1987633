// Invariants checked: the limits hold for the files of real processes. A file
// stays if it is in use, if recovery needs it, or if it is not the program's.

#include "ringlog/compress/retention/retention_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/retention/log_files.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/retention/retention_test_fixture.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using RetentionRunnerTest = RetentionFixture;

// Returns a descriptor of this process for `path`; -1 if there is none.
int DescriptorOf(const std::string& path) {
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (std::filesystem::read_symlink(entry.path(), error) == path) {
      return std::stoi(entry.path().filename());
    }
  }
  return -1;
}

TEST_F(RetentionRunnerTest, LimitHoldsOverRestarts) {
  std::vector<std::string> all;
  for (int life = 0; life < 6; ++life) {
    InChild([&] {
      Process process(directory_, MaxFiles(5));
      process.LogSegments(3);
      process.End();
    });
    EXPECT_LE(Segments("program").size(), 5u);
    for (const std::string& path : Segments("program")) {
      if (std::find(all.begin(), all.end(), path) == all.end()) {
        all.push_back(path);
      }
    }
  }
  EXPECT_THAT(all, SizeIs(18));
  EXPECT_THAT(Segments("program"), SizeIs(5));
  EXPECT_THAT(Segments("program"), Contains(all.back()));
}

TEST_F(RetentionRunnerTest, LimitHoldsWithinProcess) {
  Process process(directory_, MaxFiles(3));
  for (int i = 0; i < 20; ++i) {
    process.LogSegments(1);
    // Retention runs in the background.
    WaitUntil([&] { return Segments("program").size() <= 4; });
    process.Rotate();
  }
  process.Log("the last");
  process.End();
  ASSERT_THAT(Segments("program"), SizeIs(3));
  EXPECT_THAT(Decompress(Segments("program").back()), HasSubstr("the last"));
}

TEST_F(RetentionRunnerTest, ForkedChildDoesNotLockSegments) {
  Process process(directory_, RetentionOptions());
  process.Log("one");
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = Fork();
  if (child == 0) {
    close(pipe_ends[1]);
    char end;
    _exit(read(pipe_ends[0], &end, 1) == 0 ? 0 : 1);
  }
  process.Rotate();
  process.Log("two");
  Enforce(MaxFiles(1));
  EXPECT_THAT(Segments("program"), SizeIs(1));
  close(pipe_ends[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  process.End();
}

// A killed process does not release its locks itself.
TEST_F(RetentionRunnerTest, ForkedChildOfKilledProcessLocksNoFile) {
  int pipe_ends[2];
  int forked_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  ASSERT_EQ(pipe(forked_ends), 0);
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(2);
    if (Fork() == 0) {
      // fork() has returned, so the inherited descriptors are closed.
      if (write(forked_ends[1], "", 1) != 1) _exit(1);
      close(pipe_ends[1]);
      char end;
      _exit(read(pipe_ends[0], &end, 1) == 0 ? 0 : 1);
    }
    char forked;
    if (read(forked_ends[0], &forked, 1) != 1) _exit(1);
    raise(SIGKILL);
  });
  EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
  EXPECT_THAT(AllText(directory_), ::testing::HasSubstr("record 1"));
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  Enforce(options);
  EXPECT_THAT(Segments("program"), IsEmpty());
  close(pipe_ends[1]);
}

TEST_F(RetentionRunnerTest, DeletesOnlyTheProgramsFiles) {
  InChild([&] {
    Process other(directory_, RetentionOptions(), "other");
    other.LogSegments(3);
    other.End();
    Process process(directory_, RetentionOptions());
    process.LogSegments(2);
    process.End();
  });
  const std::string ours = Segments("program")[0];
  const auto named = [&](const std::string& number) {
    return absl::StrCat(ours.substr(0, ours.size() - 14), number, ".log.zst");
  };
  std::filesystem::copy_file(ours, named("000777"));  // its metadata has 000001
  WriteFile(named("000778"), "a user's own");
  WriteFile(named("000779"), ReadFile(ours).substr(0, 20));
  WriteFile(named("000780"), "");
  std::filesystem::create_directory(named("000781"));
  std::filesystem::create_symlink(ours, named("000782"));
  WriteFile(directory_ + "/notes.txt", "a user's own");
  const std::string ring =
      absl::StrCat(ours.substr(0, ours.size() - 15), ".ring");
  WriteFile(ring, "no ring");

  RetentionOptions options;
  options.max_bytes = 1;
  options.max_age = absl::Nanoseconds(1);
  EXPECT_THAT(
      LogFiles({directory_, directory_, "program"}).List(0, &Never).files,
      SizeIs(2));
  RetentionRunner runner = Runner();
  Enforce(options, &runner);
  EXPECT_EQ(runner.deleted_files(), 2u);
  EXPECT_EQ(runner.errors(), 0u);
  EXPECT_THAT(Segments("other"), SizeIs(3));
  for (const char* number :
       {"000777", "000778", "000779", "000780", "000781"}) {
    EXPECT_TRUE(std::filesystem::exists(named(number))) << number;
  }
  EXPECT_TRUE(std::filesystem::is_symlink(named("000782")));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/notes.txt"));
  EXPECT_TRUE(std::filesystem::exists(ring));
}

class LiveProcessTest : public RetentionRunnerTest,
                        public ::testing::WithParamInterface<bool> {};

// The ring is a file next to the segments, or in memory.
TEST_P(LiveProcessTest, OpenSegmentStays) {
  Process process(directory_, RetentionOptions(), "program", GetParam());
  process.LogSegments(4);
  const std::string open = Segments("program").back();
  RetentionOptions options;
  options.max_bytes = 1;
  options.max_age = absl::Nanoseconds(1);
  RetentionRunner runner = Runner();
  Enforce(options, &runner);
  EXPECT_EQ(runner.deleted_files(), 3u);
  EXPECT_EQ(runner.errors(), 0u);
  EXPECT_THAT(Segments("program"), ElementsAre(open));
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(GetParam() ? 1 : 0));
  process.Log("goes on");
  process.End();
  EXPECT_THAT(Decompress(open), HasSubstr("goes on"));
}

INSTANTIATE_TEST_SUITE_P(WithRingFile, LiveProcessTest, ::testing::Bool());

TEST_F(RetentionRunnerTest, FilesForRecoveryStay) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(3);
    raise(SIGKILL);
  });
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  options.max_bytes = 1;
  RetentionRunner runner = Runner();
  Enforce(options, &runner);
  EXPECT_THAT(Segments("program"), SizeIs(1));
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
  EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  EXPECT_THAT(AllText(directory_), HasSubstr("record 2"));
  Enforce(options, &runner);
  EXPECT_THAT(Segments("program"), IsEmpty());
}

// Each process is killed before it has recovered the ring of the previous one.
TEST_F(RetentionRunnerTest, CrashLoopDoesNotFillDisk) {
  RetentionOptions options;
  options.max_bytes = 1;
  const size_t runs = kSparedLeftovers + 30;
  std::vector<std::string> rings;
  for (size_t run = 0; run < runs; ++run) {
    InChild([&] {
      Process process(directory_, options);
      process.Log(absl::StrCat("run ", run, "."));
      // A process that dies earlier deletes nothing.
      WaitUntil([&] {
        return FilesIn(directory_, ".ring").size() <= kSparedLeftovers + 1;
      });
      raise(SIGKILL);
    });
    for (const std::string& path : FilesIn(directory_, ".ring")) {
      if (std::find(rings.begin(), rings.end(), path) == rings.end()) {
        rings.push_back(path);
      }
    }
    ASSERT_LE(FilesIn(directory_, ".ring").size(), kSparedLeftovers + 1);
  }
  EXPECT_THAT(rings, SizeIs(runs));
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(kSparedLeftovers + 1));
  EXPECT_LE(Segments("program").size(), kSparedLeftovers + 2);
  EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  EXPECT_THAT(AllText(directory_),
              HasSubstr(absl::StrCat("run ", runs - 1, ".")));
}

// A program may close descriptors that it has not opened.
TEST_F(RetentionRunnerTest, ClosedDescriptorIsNotUsedForAnotherDirectory) {
  const std::string other = MakeTestDirectory();
  MakeSegments(5);
  RetentionRunner runner = Runner();
  Enforce(MaxFiles(5), &runner);
  for (const std::string& path : Segments("program")) {
    std::filesystem::copy(path, other);
  }
  const int fd = DescriptorOf(directory_);
  ASSERT_GE(fd, 0);
  const int opened = open(other.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(dup2(opened, fd), fd);
  close(opened);
  Enforce(MaxFiles(3), &runner);
  EXPECT_THAT(FilesIn(other, ".log.zst"), SizeIs(5));
  EXPECT_THAT(Segments("program"), SizeIs(3));
  close(fd);
}

// A run that must stop at once identifies or deletes one file.
TEST_F(RetentionRunnerTest, StoppedRunContinuesLater) {
  MakeSegments(6);
  const std::vector<std::string> all = Segments("program");
  RetentionRunner runner = Runner();
  int runs = 1;
  while (!runner.Run({MaxFiles(3), 0}, [] { return true; })) {
    EXPECT_EQ(runner.deleted_files(),
              static_cast<uint64_t>(std::max(0, runs - 5)));
    ++runs;
  }
  // The sixth run identifies the last file.
  EXPECT_EQ(runs, 9);
  EXPECT_THAT(Segments("program"), ElementsAre(all[3], all[4], all[5]));
}

// Each run may identify one file, and the growing file is new to each run.
TEST_F(RetentionRunnerTest, GrowingFileDoesNotPreventDeletion) {
  MakeSegments(3);
  const std::string growing =
      directory_ +
      "/program.host.20000101-000000.12345.5f3a9c1b.000001.log.zst";
  RetentionRunner runner = Runner();
  std::string content;
  for (int runs = 0; runner.deleted_files() == 0; ++runs) {
    ASSERT_LT(runs, 10);
    WriteFile(growing, content += "no segment");
    runner.Run({MaxFiles(2), 0}, [] { return true; });
  }
  EXPECT_THAT(Segments("program"), SizeIs(3));
}

TEST_F(RetentionRunnerTest, SimultaneousProcessesShareOneLimit) {
  constexpr int kProcesses = 6;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      Process process(directory_, MaxFiles(10));
      process.LogSegments(30);
      process.End();
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  InChild([&] {
    Process process(directory_, MaxFiles(10));
    process.LogSegments(1);
    process.End();
  });
  EXPECT_THAT(Segments("program"), SizeIs(10));
  EXPECT_FALSE(AllText(directory_).empty());
}

}  // namespace
}  // namespace ringlog
