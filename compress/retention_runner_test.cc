// Limits on real files of real processes. unlink(2) is taken over here, so that
// a file can refuse to go, and statvfs(3), so that the disk does not answer.

#include "ringlog/compress/retention_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/complain.h"
#include "ringlog/compress/flusher.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/retention.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/read_segments.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr absl::Duration kLong = absl::Seconds(60);

// What contains this cannot be deleted; and how often it was tried.
std::string g_sticky;
int g_sticky_tries = 0;
// Another process is first to delete this.
std::string g_others;

// A program's process, as far as its log goes.
class Process {
 public:
  Process(const std::string& directory, const RetentionOptions& retention,
          const std::string& program = "program", bool with_file = true) {
    RingOptions options;
    options.slot_count = 64;
    options.program = program;
    options.host = "host";
    auto ring = with_file ? Ring::CreateIn(directory, RingFileName, options)
                          : Ring::CreateAnonymous(options);
    if (!ring.ok()) abort();
    ring_ = *std::move(ring);
    FlusherOptions flusher;
    flusher.directory = directory;
    flusher.retention = retention;
    auto started = Flusher::Start(ring_.get(), flusher);
    if (!started.ok()) abort();
    flusher_ = *std::move(started);
  }

  void Log(absl::string_view text) {
    Record record;
    record.text = text;
    char head[128];
    const size_t size = EncodeRecordHead(record, absl::MakeSpan(head));
    ring_->Append(record.severity, absl::string_view(head, size), text);
    if (!flusher_->Flush(kLong)) abort();
  }
  void Rotate() {
    if (!flusher_->Rotate(kLong).ok()) abort();
  }
  // Segments with one record each, the last of them open.
  void LogSegments(int count) {
    for (int i = 0; i < count; ++i) {
      if (i != 0) Rotate();
      Log(absl::StrCat("record ", i));
    }
  }
  // As a program's end does.
  void End() {
    if (!flusher_->Stop().ok()) abort();
    unlink(ring_->path().c_str());
  }

 private:
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
};

// Runs `body` in a process of its own, and waits for its end.
void InChild(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(status == 0 || WTERMSIG(status) == SIGKILL) << status;
}

class RetentionRunnerTest : public ::testing::Test {
 protected:
  RetentionRunner Runner(const RetentionOptions& options) const {
    return RetentionRunner(options, {directory_, directory_, "program"});
  }
  static RetentionOptions MaxFiles(uint64_t n) {
    RetentionOptions options;
    options.max_files = n;
    return options;
  }
  std::vector<std::string> Segments(const std::string& program) const {
    std::vector<std::string> found;
    for (const std::string& path : FilesIn(directory_, ".log.zst")) {
      if (absl::StrContains(path, absl::StrCat("/", program, "."))) {
        found.push_back(path);
      }
    }
    return found;
  }

  const std::string directory_ = MakeTestDirectory();
};

TEST_F(RetentionRunnerTest, TheLimitHoldsOverRestarts) {
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

TEST_F(RetentionRunnerTest, TheLimitHoldsWithinALife) {
  Process process(directory_, MaxFiles(3));
  for (int i = 0; i < 20; ++i) {
    process.LogSegments(1);
    EXPECT_LE(Segments("program").size(), 4u);
    process.Rotate();
  }
  process.Log("the last");
  process.End();
  ASSERT_THAT(Segments("program"), SizeIs(3));
  EXPECT_THAT(Decompress(Segments("program").back()), HasSubstr("the last"));
}

// It has no part in its parent's files, however long it lives.
TEST_F(RetentionRunnerTest, AForkedChildKeepsNoSegment) {
  Process process(directory_, RetentionOptions());
  process.Log("one");
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_ends[1]);
    char end;
    _exit(read(pipe_ends[0], &end, 1) == 0 ? 0 : 1);
  }
  process.Rotate();
  process.Log("two");
  Runner(MaxFiles(1)).RunIfDue();
  EXPECT_THAT(Segments("program"), SizeIs(1));
  close(pipe_ends[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  process.End();
}

// A process that is killed lets go of nothing itself.
TEST_F(RetentionRunnerTest, AForkedChildOfAKilledProcessKeepsNoFile) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(2);
    if (fork() == 0) {
      close(pipe_ends[1]);
      char end;
      _exit(read(pipe_ends[0], &end, 1) == 0 ? 0 : 1);
    }
    raise(SIGKILL);
  });
  EXPECT_THAT(
      RecoverLeftovers(directory_, directory_, SegmentWriterOptions()).errors,
      IsEmpty());
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
  EXPECT_THAT(AllText(directory_), ::testing::HasSubstr("record 1"));
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  Runner(options).RunIfDue();
  EXPECT_THAT(Segments("program"), IsEmpty());
  close(pipe_ends[1]);
}

TEST_F(RetentionRunnerTest, OnlyWhatIsProvablyThisProgramsGoes) {
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
  std::filesystem::copy_file(ours, named("000777"));  // says it is 000001
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
  RetentionRunner runner = Runner(options);
  EXPECT_THAT(runner.List(), SizeIs(2));
  runner.RunIfDue();
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

// With a ring beside the segments, and with one that nobody else can see.
TEST_P(LiveProcessTest, WhatALiveProcessWritesToStays) {
  Process process(directory_, RetentionOptions(), "program", GetParam());
  process.LogSegments(4);
  const std::string open = Segments("program").back();
  RetentionOptions options;
  options.max_bytes = 1;
  options.max_age = absl::Nanoseconds(1);
  RetentionRunner runner = Runner(options);
  runner.RunIfDue();
  EXPECT_EQ(runner.deleted_files(), 3u);
  EXPECT_EQ(runner.errors(), 0u);
  EXPECT_THAT(Segments("program"), ElementsAre(open));
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(GetParam() ? 1 : 0));
  process.Log("goes on");
  process.End();
  EXPECT_THAT(Decompress(open), HasSubstr("goes on"));
}

INSTANTIATE_TEST_SUITE_P(WithARing, LiveProcessTest, ::testing::Bool());

TEST_F(RetentionRunnerTest, WhatARecoveryMayStillNeedStays) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(3);
    raise(SIGKILL);
  });
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  options.max_bytes = 1;
  RetentionRunner runner = Runner(options);
  runner.RunIfDue();
  EXPECT_THAT(Segments("program"), SizeIs(1));
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
  EXPECT_THAT(
      RecoverLeftovers(directory_, directory_, SegmentWriterOptions()).errors,
      IsEmpty());
  EXPECT_THAT(AllText(directory_), HasSubstr("record 2"));
  runner.SetDue();
  runner.RunIfDue();
  EXPECT_THAT(Segments("program"), IsEmpty());
}

// A program that is killed before it has recovered what the one before left.
TEST_F(RetentionRunnerTest, ACrashLoopDoesNotFillTheDisk) {
  RetentionOptions options;
  options.max_bytes = 1;
  const size_t lives = kSparedLeftovers + 30;
  std::vector<std::string> rings;
  for (size_t life = 0; life < lives; ++life) {
    InChild([&] {
      Process process(directory_, options);
      process.Log(absl::StrCat("life ", life, "."));
      raise(SIGKILL);
    });
    for (const std::string& path : FilesIn(directory_, ".ring")) {
      if (std::find(rings.begin(), rings.end(), path) == rings.end()) {
        rings.push_back(path);
      }
    }
    ASSERT_LE(FilesIn(directory_, ".ring").size(), kSparedLeftovers + 1);
  }
  EXPECT_THAT(rings, SizeIs(lives));
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(kSparedLeftovers + 1));
  EXPECT_LE(Segments("program").size(), kSparedLeftovers + 2);
  EXPECT_THAT(
      RecoverLeftovers(directory_, directory_, SegmentWriterOptions()).errors,
      IsEmpty());
  EXPECT_THAT(AllText(directory_),
              HasSubstr(absl::StrCat("life ", lives - 1, ".")));
}

TEST_F(RetentionRunnerTest, WhatCannotBeDeletedIsToldAndNotTriedInALoop) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(5);
    process.End();
  });
  const std::vector<std::string> segments = Segments("program");
  g_sticky = segments[0];
  ::testing::internal::CaptureStderr();
  RetentionRunner by_count = Runner(MaxFiles(3));
  by_count.RunIfDue();
  EXPECT_EQ(g_sticky_tries, 1);
  // Others go in its place.
  EXPECT_THAT(Segments("program"),
              ElementsAre(segments[0], segments[3], segments[4]));
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  RetentionRunner by_age = Runner(options);
  for (int i = 0; i < 5; ++i) {
    by_age.SetDue();
    by_age.RunIfDue();
  }
  const std::string err = ::testing::internal::GetCapturedStderr();
  g_sticky.clear();
  EXPECT_EQ(g_sticky_tries, 2);
  EXPECT_EQ(by_age.errors(), 1u);
  EXPECT_EQ(by_age.deleted_files(), 2u);
  EXPECT_THAT(err, HasSubstr(absl::StrCat("cannot delete ", segments[0])));
}

TEST_F(RetentionRunnerTest, ADiskThatDoesNotAnswerIsNoReasonToDelete) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(5);
    process.End();
  });
  RetentionOptions options = MaxFiles(3);
  options.min_free_bytes = uint64_t{1} << 30;
  ::testing::internal::CaptureStderr();
  // A process of its own, which has said nothing yet.
  InChild([&] { Runner(options).RunIfDue(); });
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(Segments("program"), SizeIs(3));
  EXPECT_THAT(err, HasSubstr("cannot ask how much is free on the disk of " +
                             directory_));
}

// However much else there was to say in that minute.
TEST_F(RetentionRunnerTest, EveryRingThatIsDeletedUnrecoveredIsToldOf) {
  const auto leave_rings = [&](size_t count) {
    InChild([&] {
      RingOptions ring;
      ring.slot_count = 2;
      ring.program = "program";
      ring.host = "host";
      for (size_t i = 0; i < count; ++i) {
        if (!Ring::CreateIn(directory_, RingFileName, ring).ok()) abort();
      }
    });
  };
  leave_rings(kSparedLeftovers + 3);
  RetentionOptions options;
  options.max_bytes = 1;
  RetentionRunner runner = Runner(options);
  ::testing::internal::CaptureStderr();
  Complain("something");
  runner.RunIfDue();
  leave_rings(2);
  runner.SetDue();
  runner.RunIfDue();
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(kSparedLeftovers));
  EXPECT_THAT(err, HasSubstr(" and 2 more, which nobody had recovered"));
  EXPECT_THAT(err, Not(HasSubstr("1 more")));
  ::testing::internal::CaptureStderr();
  runner.TellLosses();
  runner.TellLosses();
  const std::string rest = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(rest, HasSubstr(" and 1 more, which nobody had recovered"));
  EXPECT_THAT(std::count(rest.begin(), rest.end(), '\n'), 1);
}

TEST_F(RetentionRunnerTest, WhatAnotherProcessDeletesFirstHasGone) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(5);
    process.End();
  });
  const std::vector<std::string> segments = Segments("program");
  g_others = segments[0];
  RetentionRunner runner = Runner(MaxFiles(3));
  runner.RunIfDue();
  g_others.clear();
  EXPECT_THAT(Segments("program"),
              ElementsAre(segments[2], segments[3], segments[4]));
  EXPECT_EQ(runner.deleted_files(), 1u);
  EXPECT_EQ(runner.errors(), 0u);
}

TEST_F(RetentionRunnerTest, ManyProcessesAtOnceKeepToOneLimit) {
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

int Unlink(const char* path) {
  if (!g_sticky.empty() && g_sticky == path) {
    ++g_sticky_tries;
    errno = EACCES;
    return -1;
  }
  if (g_others == path) syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

}  // namespace
}  // namespace ringlog

extern "C" int unlink(const char* name) noexcept {
  return ringlog::Unlink(name);
}

extern "C" int statvfs(const char*, struct statvfs*) noexcept {
  errno = EIO;
  return -1;
}
