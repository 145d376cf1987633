// Runs processes that log and end in every way in which a process can end.
// Checks the table in logsink/install.h with the decoder, before and after a
// recovery.

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
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

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

  // Installs the sink in a child process.
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

  // Compares the decoded log with `texts` before and after a recovery.
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

// ---- Ends that delete the ring ----

TEST_F(ExitTest, ExitFromAThreadClosesTheLog) {
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              LogRecords();
              std::thread([] { exit(0); }).join();
            }),
            0);
  ExpectNoRing();
  ExpectLog(Records());
}

TEST_F(ExitTest, RecordsOfExitHandlersAreKept) {
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

// A thread logs until the process ends. All of its records before the first
// dropped one are kept.
TEST_F(ExitTest, RecordsDuringExitAreKeptInOrder) {
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

// ---- Ends that keep the ring ----

struct End {
  const char* name;
  void (*end)();
  int status;
};

class KeepsRingTest : public ExitTest,
                      public ::testing::WithParamInterface<End> {};

TEST_P(KeepsRingTest, RingHasAllRecords) {
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
    Ends, KeepsRingTest,
    ::testing::Values(End{"end", [] { _exit(0); }, 0},
                      End{"quick_exit", [] { quick_exit(3); }, 3 << 8},
                      End{"abort", [] { abort(); }, SIGABRT},
                      End{"kill", [] { raise(SIGKILL); }, SIGKILL},
                      End{"exec", [] { execl("/bin/true", "true", nullptr); },
                          0}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(ExitTest, FatalRecordOfAnotherThreadIsLast) {
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

// ---- Unwritable directories ----

class UnwritableTest : public ExitTest {
 protected:
  UnwritableTest() {
    options_.directory = directory_ + "/a file";
    WriteFile(options_.directory, "");
  }
  // Returns the stderr of a process that logs to a ring in memory and ends by
  // `body`.
  std::string StderrOf(const std::function<void()>& body) {
    std::string err;
    EXPECT_EQ(RunChild(body, &err), 0);
    return err;
  }
  const std::string kLost = absl::StrCat("ringlog: lost: ", kRecords,
                                         " records that were in memory only");
};

TEST_F(UnwritableTest, ExitReportsRecordsLostInMemory) {
  const std::string err = StderrOf([this] {
    MustInstall();
    LogRecords();
  });
  EXPECT_THAT(err, HasSubstr(kLost));
  EXPECT_THAT(err, HasSubstr("; 0 had been dropped before\n"));
}

TEST_F(UnwritableTest, CloseReportsLossAndDropsOnce) {
  options_.ring_bytes = 64 << 10;
  options_.overflow = OverflowPolicy::kDropNewest;
  const std::string err = StderrOf([this] {
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

TEST_F(UnwritableTest, RingFileLosesNothing) {
  options_.directory = directory_ + "/log";
  options_.ring_directory = directory_ + "/ring";
  const std::string err = StderrOf([this] {
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
  // Logs errors in a child process without stdin, stdout and stderr. Checks
  // that none of its files has one of these descriptors, because Abseil may
  // write to them.
  void LogErrors() {
    for (const int fd : {0, 1, 2}) close(fd);
    RingLogSink* const sink = MustInstall();
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kError);
    for (int i = 0; i < kRecords; ++i) {
      LOG(ERROR) << "record " << i;
      // Begins another segment, with another descriptor.
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

TEST_F(ClosedDescriptorsTest, ExitKeepsAllRecords) {
  EXPECT_EQ(RunChild([this] { LogErrors(); }), 0);
  ExpectNoRing();
  ExpectLog(Records());
}

TEST_F(ClosedDescriptorsTest, KillKeepsAllRecords) {
  EXPECT_EQ(RunChild([this] {
              LogErrors();
              raise(SIGKILL);
            }),
            SIGKILL);
  ExpectLog(Records());
}

// ---- Containers ----

// Runs `body` as process 1 of a pid namespace with its own /proc, as in a
// container. Returns false if that is not permitted.
bool RunAsFirstProcess(const std::function<void()>& body, int* status) {
  constexpr int kNotPermitted = 99;
  const pid_t outer = StartChild([&] {
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) _exit(kNotPermitted);
    const pid_t first = StartChild([&] {
      if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("proc", "/proc", "proc", 0, nullptr) != 0) {
        _exit(kNotPermitted);
      }
      body();
    });
    const int end = AwaitChild(first);
    _exit(WIFSIGNALED(end) ? 128 + WTERMSIG(end) : WEXITSTATUS(end));
  });
  *status = WEXITSTATUS(AwaitChild(outer));
  return *status != kNotPermitted;
}

// A container restarts with the same volume. Its program is process 1 after
// each start, on a host of the same name and boot.
TEST_F(ExitTest, ProcessOneRecoversEarlierProcessOne) {
  constexpr int kStarts = 3;
  for (int start = 0; start < kStarts; ++start) {
    int status = -1;
    if (!RunAsFirstProcess(
            [&] {
              if (getpid() != 1) _exit(1);
              RingLogSink* const sink = MustInstall();
              LOG(INFO) << "start " << start;
              if (!WaitForRecovery(absl::InfiniteDuration())) _exit(2);
              // Only the ring of this process is left, although the process
              // before it had the same id.
              if (FilesIn(directory_, ".ring") !=
                  std::vector<std::string>{sink->ring_path()}) {
                _exit(3);
              }
              _exit(0);
            },
            &status)) {
      GTEST_SKIP() << "creating a pid namespace is not permitted";
    }
    ASSERT_EQ(status, 0) << "start " << start;
  }
  ExpectLog({"start 0", "start 1", "start 2"});
}

// Two containers share a volume: process 1 of the second does not recover the
// ring of process 1 of the first.
TEST_F(ExitTest, ProcessOneKeepsRingOfLivingProcessOne) {
  Signal is_ready, may_end;
  const pid_t other = StartChild([&] {
    int status = 0;
    const bool has_run = RunAsFirstProcess(
        [&] {
          MustInstall();
          LOG(INFO) << "first container";
          is_ready.Send();
          may_end.Await();
          LOG(INFO) << "still there";
          _exit(0);
        },
        &status);
    if (!has_run) is_ready.Send();
    _exit(has_run ? status : 99);
  });
  is_ready.Await();
  int status = -1;
  const bool has_run = RunAsFirstProcess(
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
  if (!has_run) GTEST_SKIP() << "creating a pid namespace is not permitted";
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
