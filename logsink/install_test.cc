// Runs processes that log through an installed sink and end in many ways. Then
// checks the files that they left.

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kRecords = 2000;

RingLogSinkOptions Options(const std::string& directory) {
  RingLogSinkOptions options;
  options.directory = directory;
  options.overflow = OverflowPolicy::kBlock;
  options.block_deadline = absl::Minutes(10);
  options.flush_interval = absl::Milliseconds(1);
  options.rotation.max_segment_bytes = 4096;
  return options;
}

RingLogSink* MustInstall(const RingLogSinkOptions& options) {
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::StatusOr<RingLogSink*> sink = Install(options);
  if (!sink.ok()) _exit(100);
  return *sink;
}

void LogRecords() {
  for (int i = 0; i < kRecords; ++i) LOG(INFO) << "record " << i;
}

std::vector<std::string> ExpectedTexts() {
  std::vector<std::string> texts;
  for (int i = 0; i < kRecords; ++i) {
    texts.push_back(absl::StrCat("record ", i));
  }
  return texts;
}

std::vector<std::string> Texts(const std::string& directory) {
  std::vector<std::string> texts;
  for (const std::string& line : AllLines(directory)) {
    texts.push_back(TextOfLine(line));
  }
  return texts;
}

RecoveredLeftovers RecoverAll(const std::string& directory) {
  return RecoverLeftovers(directory, directory);
}

class SignalTest : public ::testing::TestWithParam<int> {};

TEST_P(SignalTest, RecordsBeforeSignalAreKeptOnce) {
  const std::string directory = MakeTestDirectory();
  const int status = RunChild([&] {
    MustInstall(Options(directory));
    LogRecords();
    signal(GetParam(), SIG_DFL);
    raise(GetParam());
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), GetParam());
  EXPECT_THAT(FilesIn(directory, ".ring"), SizeIs(1));
  const RecoveredLeftovers leftovers = RecoverAll(directory);
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(leftovers.recovered, SizeIs(1));
  EXPECT_EQ(Texts(directory), ExpectedTexts());
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalTest,
                         ::testing::Values(SIGKILL, SIGSEGV, SIGABRT, SIGTERM,
                                           SIGBUS, SIGFPE, SIGILL));

TEST(InstallTest, NextStartRecoversKilledProcess) {
  const std::string directory = MakeTestDirectory();
  RunChild([&] {
    MustInstall(Options(directory));
    LogRecords();
    raise(SIGKILL);
  });
  const int status = RunChild([&] {
    MustInstall(Options(directory));
    if (!WaitForRecovery(absl::Minutes(10))) _exit(101);
    LOG(INFO) << "second process";
  });
  EXPECT_EQ(status, 0);
  std::vector<std::string> expected = ExpectedTexts();
  expected.push_back("second process");
  EXPECT_EQ(Texts(directory), expected);
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

TEST(InstallTest, ExitClosesSegmentsAndDeletesRing) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              MustInstall(Options(directory));
              LogRecords();
            }),
            0);
  EXPECT_EQ(Texts(directory), ExpectedTexts());
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

struct LogsWhenDestroyed {
  ~LogsWhenDestroyed() { LOG(INFO) << "destroyed"; }
};

TEST(InstallTest, StaticDestructorsMayLog) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              static LogsWhenDestroyed before_the_sink;
              MustInstall(Options(directory));
              static LogsWhenDestroyed after_the_sink;
              atexit([] { LOG(INFO) << "at exit"; });
            }),
            0);
  EXPECT_EQ(Texts(directory),
            (std::vector<std::string>{"at exit", "destroyed", "destroyed"}));
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

TEST(InstallTest, UnderscoreExitKeepsRecordsInRing) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              MustInstall(Options(directory));
              LogRecords();
              _exit(0);
            }),
            0);
  RecoverAll(directory);
  EXPECT_EQ(Texts(directory), ExpectedTexts());
}

TEST(InstallTest, FatalRecordIsKeptOnceWithStack) {
  const std::string directory = MakeTestDirectory();
  const int status = RunChild([&] {
    MustInstall(Options(directory));
    LOG(FATAL) << "the reason";
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  RecoverAll(directory);
  const std::string text = AllText(directory);
  const std::vector<std::string> parts = absl::StrSplit(text, "the reason");
  EXPECT_THAT(parts, SizeIs(2)) << text;
  EXPECT_THAT(text, HasSubstr("*** Check failure stack trace: ***"));
}

TEST(InstallTest, QFatalRecordIsKept) {
  const std::string directory = MakeTestDirectory();
  RunChild([&] {
    MustInstall(Options(directory));
    LOG(QFATAL) << "the reason";
  });
  RecoverAll(directory);
  EXPECT_THAT(AllText(directory), HasSubstr("] the reason\n"));
}

TEST(InstallTest, WithoutRingLogsAndWarnsOnce) {
  const std::string directory = MakeTestDirectory();
  RingLogSinkOptions options = Options(directory);
  options.ring_directory = directory + "/a file, not a directory";
  WriteFile(options.ring_directory, "");
  std::string err;
  EXPECT_EQ(RunChild(
                [&] {
                  MustInstall(options);
                  WaitForRecovery(absl::Minutes(10));
                  LogRecords();
                },
                &err),
            0);
  EXPECT_EQ(Texts(directory), ExpectedTexts());
  EXPECT_THAT(err, HasSubstr(options.ring_directory));
  EXPECT_THAT(err, HasSubstr("kept in memory"));
}

TEST(InstallTest, SecondInstallIsRefused) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(
      RunChild([&] {
        MustInstall(Options(directory));
        if (!absl::IsFailedPrecondition(Install(Options(directory)).status())) {
          _exit(1);
        }
      }),
      0);
}

TEST(InstallTest, ExitOfForkedChildKeepsParentsFiles) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              MustInstall(Options(directory));
              LOG(INFO) << "before";
              // Otherwise the child's leak check would report the memory of the
              // recovery thread.
              WaitForRecovery(absl::Minutes(10));
              absl::FlushLogSinks();
              const pid_t child = Fork();
              if (child == 0) exit(0);
              int status;
              if (waitpid(child, &status, 0) != child || status != 0) _exit(1);
              LOG(INFO) << "after";
            }),
            0);
  EXPECT_EQ(Texts(directory), (std::vector<std::string>{"before", "after"}));
}

TEST(InstallTest, ClosedSinkDoesNotDisturbExit) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              RingLogSink* const sink = MustInstall(Options(directory));
              LogRecords();
              absl::RemoveLogSink(sink);
              if (!sink->Close().ok()) _exit(1);
            }),
            0);
  EXPECT_EQ(Texts(directory), ExpectedTexts());
}

TEST(InstallTest, RelativeDirectoryIsResolvedAtStart) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              if (chdir(directory.c_str()) != 0) _exit(1);
              MustInstall(Options("logs/"));
              if (chdir("/") != 0) _exit(1);
              LogRecords();
            }),
            0);
  EXPECT_EQ(Texts(directory + "/logs"), ExpectedTexts());
  EXPECT_THAT(FilesIn(directory + "/logs", ".ring"), IsEmpty());
}

TEST(InstallTest, OldAndNewRingDirectoryAreRecovered) {
  const std::string directory = MakeTestDirectory();
  RunChild([&] {
    MustInstall(Options(directory));
    LogRecords();
    raise(SIGKILL);
  });
  RingLogSinkOptions options = Options(directory);
  options.ring_directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              MustInstall(options);
              if (!WaitForRecovery(absl::Minutes(10))) _exit(1);
            }),
            0);
  EXPECT_EQ(Texts(directory), ExpectedTexts());
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

TEST(InstallTest, ShortLivedProcessRecoversKilledOne) {
  const std::string directory = MakeTestDirectory();
  RunChild([&] {
    MustInstall(Options(directory));
    LogRecords();
    raise(SIGKILL);
  });
  EXPECT_EQ(RunChild([&] { MustInstall(Options(directory)); }), 0);
  EXPECT_EQ(Texts(directory), ExpectedTexts());
}

// A record during exit may be kept or dropped, but not duplicated.
TEST(InstallTest, RecordsDuringExitAreKeptOnceOrDropped) {
  const std::string directory = MakeTestDirectory();
  EXPECT_EQ(RunChild([&] {
              MustInstall(Options(directory));
              std::thread([] {
                for (int i = 0;; ++i) LOG(INFO) << "record " << i;
              }).detach();
              LOG(INFO) << "first";
            }),
            0);
  RecoverAll(directory);
  int next = 0;
  bool reports_drops = false;
  for (const std::string& text : Texts(directory)) {
    if (text == "first") continue;
    ASSERT_FALSE(reports_drops) << "a record follows dropped ones";
    // If the sink could not write all records, its ring stays, and recovery
    // reports the drops.
    reports_drops = absl::StrContains(text, "the sink was closed");
    if (!reports_drops) {
      ASSERT_EQ(text, absl::StrCat("record ", next++));
    }
  }
}

}  // namespace
}  // namespace ringlog
