// Processes that log and end in every way that a process can, seen by the
// decoder before and after a recovery: what logsink/install.h says of each.

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/read_segments.h"
#include "ringlog/testing/harness/run_child.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kRecords = 500;

void LogRecords() {
  for (int i = 0; i < kRecords; ++i) LOG(INFO) << "record " << i;
}

std::vector<std::string> Records() {
  std::vector<std::string> texts;
  for (int i = 0; i < kRecords; ++i) {
    texts.push_back(absl::StrCat("record ", i));
  }
  return texts;
}

struct LogsWhenDestroyed {
  ~LogsWhenDestroyed() { LOG(INFO) << "destroyed"; }
};

class ExitTest : public ::testing::Test {
 protected:
  ExitTest() {
    options_.directory = directory_;
    options_.overflow = OverflowPolicy::kBlock;
    options_.block_deadline = absl::Minutes(10);
  }

  // In a process of the test.
  RingLogSink* MustInstall() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    absl::StatusOr<RingLogSink*> sink = Install(options_);
    if (!sink.ok()) _exit(100);
    return *sink;
  }

  void Recover() {
    EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  }

  void ExpectNoRing() { EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty()); }

  // What the decoder finds, before the recovery and after it.
  void ExpectLog(const std::vector<std::string>& texts) {
    for (int i = 0; i < 2; ++i) {
      const Decoded decoded = DecodeAll({directory_});
      EXPECT_EQ(decoded.result.exit_status(), 0);
      EXPECT_EQ(decoded.texts, texts) << (i == 0 ? "before" : "after");
      Recover();
    }
    ExpectNoRing();
  }

  const std::string directory_ = MakeTestDirectory();
  RingLogSinkOptions options_;
};

// ---- What deletes the ring ----

TEST_F(ExitTest, ExitClosesEverythingAlsoFromAThread) {
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              LogRecords();
              std::thread([] { exit(0); }).join();
            }),
            0);
  ExpectNoRing();
  ExpectLog(Records());
}

TEST_F(ExitTest, WhatStaticObjectsAndHandlersLogIsKept) {
  EXPECT_EQ(RunChild([this] {
              static LogsWhenDestroyed before_the_sink;
              MustInstall();
              static LogsWhenDestroyed after_the_sink;
              atexit([] { LOG(INFO) << "at exit"; });
              LOG(INFO) << "main";
            }),
            0);
  ExpectNoRing();
  ExpectLog({"main", "at exit", "destroyed", "destroyed"});
}

// Each record of a thread that goes on is kept, from the first on, up to one
// that is the first to be dropped.
TEST_F(ExitTest, WhatThreadsLogMeanwhileIsKeptInOrderUpToTheEnd) {
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              std::atomic<bool> has_begun{false};
              std::thread([&has_begun] {
                for (int i = 0;; ++i) {
                  LOG(INFO) << i;
                  has_begun = true;
                }
              }).detach();
              while (!has_begun) sched_yield();
              exit(0);
            }),
            0);
  for (int i = 0; i < 2; ++i) {
    const std::vector<std::string> texts = DecodeAll({directory_}).texts;
    ASSERT_FALSE(texts.empty());
    for (size_t n = 0; n < texts.size(); ++n) {
      ASSERT_EQ(texts[n], absl::StrCat(n));
    }
    Recover();
  }
  ExpectNoRing();
}

// ---- What leaves it ----

struct End {
  const char* name;
  void (*end)();
  int status;
};

class LeavingTest : public ExitTest,
                    public ::testing::WithParamInterface<End> {};

TEST_P(LeavingTest, TheRingStaysWithAllThatHadBeenLogged) {
  options_.flush_interval = absl::Minutes(1);
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              LogRecords();
              for (const int s : {SIGABRT, SIGKILL}) signal(s, SIG_DFL);
              GetParam().end();
            }),
            GetParam().status);
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
  ExpectLog(Records());
}

INSTANTIATE_TEST_SUITE_P(
    Ends, LeavingTest,
    ::testing::Values(End{"end", [] { _exit(0); }, 0},
                      End{"quick_exit", [] { quick_exit(3); }, 3 << 8},
                      End{"abort", [] { abort(); }, SIGABRT},
                      End{"kill", [] { raise(SIGKILL); }, SIGKILL},
                      End{"exec", [] { execl("/bin/true", "true", nullptr); },
                          0}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(ExitTest, AnotherThreadsFatalRecordIsTheLast) {
  const int status = RunChild([this] {
    MustInstall();
    LogRecords();
    std::thread([] { LOG(FATAL) << "the reason"; }).join();
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  Recover();
  const std::vector<std::string> texts = DecodeAll({directory_}).texts;
  ASSERT_GT(texts.size(), static_cast<size_t>(kRecords));
  EXPECT_EQ(texts[kRecords], "the reason");
  ExpectNoRing();
}

// ---- What cannot be written ----

class UnwritableTest : public ExitTest {
 protected:
  UnwritableTest() {
    options_.directory = directory_ + "/a file";
    WriteFile(options_.directory, "");
  }
  // What a process that logs to a ring in memory and ends by `body` says on
  // stderr.
  std::string Say(const std::function<void()>& body) {
    std::string err;
    EXPECT_EQ(RunChild(body, &err), 0);
    return err;
  }
  const std::string kLost = absl::StrCat("ringlog: lost: ", kRecords,
                                         " records that were in memory only");
};

TEST_F(UnwritableTest, InstallsRingInMemoryTellsAtTheExitWhatIsLost) {
  const std::string err = Say([this] {
    MustInstall();
    LogRecords();
  });
  EXPECT_THAT(err, HasSubstr(kLost));
  EXPECT_THAT(err, HasSubstr("; 0 had been dropped before\n"));
}

TEST_F(UnwritableTest, ARingInMemoryTellsAtItsCloseWhatIsLostOnceWithTheDrops) {
  options_.ring_bytes = 64 << 10;
  options_.overflow = OverflowPolicy::kDropNewest;
  const std::string err = Say([this] {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    const auto sink = RingLogSink::CreateInMemory(options_);
    if (!sink.ok()) _exit(100);
    uint64_t taken = 0;
    for (; (*sink)->counters().dropped_records == 0; ++taken) {
      LOG(INFO).ToSinkOnly(sink->get()) << "record";
    }
    if ((*sink)->Close().ok() || (*sink)->Close().ok()) _exit(101);
    dprintf(STDERR_FILENO, "expected %d", static_cast<int>(taken - 1));
  });
  const size_t expected = err.rfind("expected ");
  ASSERT_NE(expected, std::string::npos);
  EXPECT_THAT(
      err, HasSubstr(absl::StrCat("ringlog: lost: ", err.substr(expected + 9),
                                  " records that were in memory only")));
  EXPECT_THAT(err, HasSubstr("; 1 had been dropped before\n"));
  EXPECT_EQ(err.find("lost: "), err.rfind("lost: ")) << err;
}

TEST_F(UnwritableTest, OfARingInAFileNothingIsLost) {
  options_.directory = directory_ + "/log";
  options_.ring_directory = directory_ + "/ring";
  const std::string err = Say([this] {
    MustInstall();
    std::filesystem::remove_all(options_.directory);
    WriteFile(options_.directory, "");
    LogRecords();
  });
  EXPECT_THAT(err, Not(HasSubstr("lost")));
  EXPECT_THAT(FilesIn(options_.ring_directory, ".ring"), SizeIs(1));
}

// ---- Without stdin, stdout and stderr ----

class ClosedDescriptorsTest : public ExitTest {
 protected:
  // In a process of the test: what Abseil prints goes nowhere, and nothing of
  // ours is where it would go.
  void LogErrors() {
    for (const int fd : {0, 1, 2}) close(fd);
    RingLogSink* const sink = MustInstall();
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kError);
    for (int i = 0; i < kRecords; ++i) {
      LOG(ERROR) << "record " << i;
      // Another segment is begun, with another descriptor.
      if (i == kRecords / 2 && !sink->Rotate().ok()) _exit(101);
    }
    for (const char* fd : {"0", "1", "2"}) {
      std::error_code error;
      const std::string file = std::filesystem::read_symlink(
                                   absl::StrCat("/proc/self/fd/", fd), error)
                                   .string();
      if (absl::StrContains(file, directory_)) _exit(102);
    }
  }
};

TEST_F(ClosedDescriptorsTest, AllIsKeptOfAProcessThatEnds) {
  EXPECT_EQ(RunChild([this] { LogErrors(); }), 0);
  ExpectNoRing();
  ExpectLog(Records());
}

TEST_F(ClosedDescriptorsTest, AllIsKeptOfAProcessThatIsKilled) {
  EXPECT_EQ(RunChild([this] {
              LogErrors();
              raise(SIGKILL);
            }),
            SIGKILL);
  ExpectLog(Records());
}

// ---- Containers ----

// Runs `body` as process 1 of a pid namespace, whose /proc is its own as in a
// container. False if that is not allowed here.
bool RunAsFirstProcess(const std::function<void()>& body, int* status) {
  constexpr int kNotAllowed = 99;
  const pid_t outer = StartChild([&] {
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) _exit(kNotAllowed);
    const pid_t first = StartChild([&] {
      if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("proc", "/proc", "proc", 0, nullptr) != 0) {
        _exit(kNotAllowed);
      }
      body();
    });
    const int end = AwaitChild(first);
    _exit(WIFSIGNALED(end) ? 128 + WTERMSIG(end) : WEXITSTATUS(end));
  });
  *status = WEXITSTATUS(AwaitChild(outer));
  return *status != kNotAllowed;
}

// A container that restarts over its volume: each life is process 1, on a host
// of the same name, of the same boot.
TEST_F(ExitTest, ProcessOneRecoversWhatProcessOneBeforeItLeft) {
  constexpr int kLives = 3;
  for (int life = 0; life < kLives; ++life) {
    int status = -1;
    if (!RunAsFirstProcess(
            [&] {
              if (getpid() != 1) _exit(1);
              RingLogSink* const sink = MustInstall();
              LOG(INFO) << "life " << life;
              if (!WaitForRecovery(absl::InfiniteDuration())) _exit(2);
              // Its own is what is left, although the one before it had the
              // same process id.
              if (FilesIn(directory_, ".ring") !=
                  std::vector<std::string>{sink->ring_path()}) {
                _exit(3);
              }
              _exit(0);
            },
            &status)) {
      GTEST_SKIP() << "may not make a namespace of processes";
    }
    ASSERT_EQ(status, 0) << "life " << life;
  }
  ExpectLog({"life 0", "life 1", "life 2"});
}

// Two containers with one volume: process 1 of the second does not take the
// ring of process 1 of the first.
TEST_F(ExitTest, ProcessOneLeavesALivingProcessOneItsRing) {
  Signal is_ready, may_end;
  const pid_t other = StartChild([&] {
    int status = 0;
    const bool done = RunAsFirstProcess(
        [&] {
          MustInstall();
          LOG(INFO) << "first container";
          is_ready.Send();
          may_end.Await();
          LOG(INFO) << "still there";
          _exit(0);
        },
        &status);
    if (!done) is_ready.Send();
    _exit(done ? status : 99);
  });
  is_ready.Await();
  int status = -1;
  const bool done = RunAsFirstProcess(
      [&] {
        MustInstall();
        LOG(INFO) << "second container";
        if (!WaitForRecovery(absl::InfiniteDuration())) _exit(2);
        if (FilesIn(directory_, ".ring").size() != 2) _exit(3);
        _exit(0);
      },
      &status);
  may_end.Send();
  const int others_status = AwaitChild(other);
  if (!done) GTEST_SKIP() << "may not make a namespace of processes";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(others_status, 0);
  Recover();
  EXPECT_THAT(DecodeAll({directory_}).texts,
              ::testing::UnorderedElementsAre("first container", "still there",
                                              "second container"));
  ExpectNoRing();
}

}  // namespace
}  // namespace ringlog
