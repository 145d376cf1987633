// Runs processes that die of a signal, with Abseil's handler and
// FailureWriter(). Checks that the crash report is the last record of their
// log, once.

#include "ringlog/logsink/failure_writer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/debugging/failure_signal_handler.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/dying_process.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

void InstallHandler(void (*writerfn)(const char*) = &FailureWriter) {
  absl::FailureSignalHandlerOptions options;
  options.symbolize_stacktrace = false;  // slow, and not under test
  options.writerfn = writerfn;
  absl::InstallFailureSignalHandler(options);
}

bool IsReport(const LoggedRecord& record) { return record.file == "signal"; }

void ExpectIsReport(const LoggedRecord& record, int signal,
                    absl::string_view name) {
  EXPECT_EQ(record.severity, Severity::kFatal);
  EXPECT_EQ(record.file, "signal");
  EXPECT_EQ(record.line, signal);
  EXPECT_GT(record.thread_id, 0);
  EXPECT_THAT(record.text, StartsWith(absl::StrCat("*** ", name, " received")));
  EXPECT_THAT(record.text, HasSubstr("\n    @ "));
  EXPECT_FALSE(absl::EndsWith(record.text, "\n"));
}

// Checks that the last record is a crash report, and that no other record is
// one.
void ExpectReportAtTheEnd(const std::vector<LoggedRecord>& records, int signal,
                          absl::string_view name) {
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(std::count_if(records.begin(), records.end(), IsReport), 1);
  ExpectIsReport(records.back(), signal, name);
}

char* UnmappedPage() {
  void* const page =
      mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return static_cast<char*>(page);
}

void ReadUnmappedMemory() {
  static_cast<void>(*static_cast<volatile char*>(UnmappedPage()));
}

void ReadAfterEndOfFile() {
  char path[] = "/tmp/ringlog_failure_writer_test.XXXXXX";
  const int fd = mkstemp(path);
  unlink(path);
  void* const page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  static_cast<void>(*static_cast<volatile char*>(page));
}

ABSL_ATTRIBUTE_NOINLINE int Overflow(int depth) {
  volatile char frame[4096];
  frame[depth % 4096] = static_cast<char>(depth);
  // Using the result prevents a tail call.
  return depth < 0 ? 0 : Overflow(depth + 1) + frame[depth % 4096];
}

struct Death {
  std::string name;
  int signal;
  void (*die)();
};
std::ostream& operator<<(std::ostream& out, const Death& death) {
  return out << death.name;
}

const std::vector<Death>& Deaths() {
  static const auto* const deaths = new std::vector<Death>{
      {"SIGSEGV", SIGSEGV, ReadUnmappedMemory},
      {"SIGABRT", SIGABRT, [] { abort(); }},
      {"SIGBUS", SIGBUS, ReadAfterEndOfFile},
      {"SIGFPE", SIGFPE, [] { raise(SIGFPE); }},
      {"SIGILL", SIGILL, [] { raise(SIGILL); }},
      {"SIGTRAP", SIGTRAP, [] { raise(SIGTRAP); }},
      {"SIGTERM", SIGTERM, [] { raise(SIGTERM); }},
  };
  return *deaths;
}

class FailureWriterTest : public ::testing::TestWithParam<Death> {
 protected:
  void ExpectDied(int status) {
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == GetParam().signal)
        << status;
  }

  const std::string directory_ = MakeTestDirectory();
  const RingLogSinkOptions options_ = DyingOptions(directory_);
};

INSTANTIATE_TEST_SUITE_P(Signals, FailureWriterTest,
                         ::testing::ValuesIn(Deaths()),
                         ::testing::PrintToStringParamName());

TEST_P(FailureWriterTest, ReportIsLastRecord) {
  ExpectDied(RunToDeath([&] {
    MustInstall(options_);
    InstallHandler();
    LOG(INFO) << "before";
    GetParam().die();
  }));
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].text, "before");
  ExpectReportAtTheEnd(records, GetParam().signal, GetParam().name);
  // The report has the id of the thread that logged before.
  EXPECT_EQ(records[1].thread_id, records[0].thread_id);
}

TEST_P(FailureWriterTest, FullRingAcceptsReportOfAnotherThread) {
  ExpectDied(RunToDeath([&] {
    RingLogSink* const sink = MustInstall(options_);
    InstallHandler();
    FillRing(sink, options_);
    std::thread(GetParam().die).join();
  }));
  ExpectReportAtTheEnd(ReadLogAndRecover(directory_), GetParam().signal,
                       GetParam().name);
}

class FailureTest : public ::testing::Test {
 protected:
  const std::string directory_ = MakeTestDirectory();
  const RingLogSinkOptions options_ = DyingOptions(directory_);
};

TEST_F(FailureTest, StackOverflowIsReported) {
  const int status = RunToDeath([&] {
    MustInstall(options_);
    InstallHandler();
    if (Overflow(0) == 1) _exit(100);
  });
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
  ExpectReportAtTheEnd(ReadLogAndRecover(directory_), SIGSEGV, "SIGSEGV");
}

// The thread that writes the report holds a slot that it will never commit.
TEST_F(FailureTest, SignalDuringAppendIsReported) {
  const int status = RunToDeath([&] {
    RingLogSink* const sink = MustInstall(options_);
    InstallHandler();
    LOG(INFO) << "before";
    const std::string head(kRecordHeadFixedBytes, 'h');
    const_cast<Ring&>(sink->ring())
        .Append(Severity::kInfo, head, absl::string_view(UnmappedPage(), 100));
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].text, "before");
  ExpectReportAtTheEnd(records, SIGSEGV, "SIGSEGV");
}

TEST_F(FailureTest, ReportFollowsStackOfFatalRecord) {
  RunToDeath([&] {
    MustInstall(options_);
    InstallHandler();
    LOG(FATAL) << "the reason";
  });
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(3));
  EXPECT_EQ(records[0].text, "the reason");
  EXPECT_THAT(records[1].text, StartsWith("*** Check failure stack trace"));
  ExpectReportAtTheEnd(records, SIGABRT, "SIGABRT");
}

std::atomic<int> g_in_handler{0};

// A handler for several threads at once. Abseil's handler admits only one.
void ReportTogether(int) {
  FailureWriter("*** SIGUSR1 in ");
  g_in_handler.fetch_add(1);
  while (g_in_handler.load() < 2) {
  }
  FailureWriter("a thread\n");
  FailureWriter(nullptr);
  g_in_handler.fetch_add(1);
  while (g_in_handler.load() < 4) {
  }
  raise(SIGKILL);
}

TEST_F(FailureTest, TwoThreadsWriteTwoReports) {
  RunToDeath([&] {
    MustInstall(options_);
    signal(SIGUSR1, ReportTogether);
    std::thread other([] { raise(SIGUSR1); });
    raise(SIGUSR1);
    other.join();
  });
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_NE(records[0].thread_id, records[1].thread_id);
  for (const LoggedRecord& record : records) {
    EXPECT_TRUE(IsReport(record)) << record;
    EXPECT_EQ(record.text, "*** SIGUSR1 in a thread");
  }
}

void WriteTwoPiecesAndDie(const char* text) {
  static int pieces = 0;
  FailureWriter(text);
  if (++pieces == 2) raise(SIGKILL);
}

TEST_F(FailureTest, KillInHandlerKeepsWrittenPart) {
  const int status = RunToDeath([&] {
    MustInstall(options_);
    InstallHandler(&WriteTwoPiecesAndDie);
    raise(SIGSEGV);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_THAT(records[0].text, StartsWith("*** SIGSEGV received"));
  EXPECT_EQ(std::count(records[0].text.begin(), records[0].text.end(), '\n'),
            1);
}

TEST_F(FailureTest, LongReportIsTruncated) {
  RunToDeath([&] {
    MustInstall(options_);
    const std::string text(size_t{1} << 20, 'x');
    FailureWriter(text.c_str());
    FailureWriter(nullptr);
    raise(SIGKILL);
  });
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_GT(records[0].text.size(), size_t{32} << 10);
  EXPECT_THAT(
      AllText(options_.directory),
      HasSubstr(absl::StrCat(" [", (size_t{1} << 20) - records[0].text.size(),
                             " bytes cut]\n")));
}

TEST_F(FailureTest, HandledSignalIsReportedAtNextStart) {
  EXPECT_EQ(RunToDeath([&] {
              MustInstall(options_);
              FailureWriter("*** Signal 10 received, and handled ***\n");
              FailureWriter(nullptr);
              LOG(INFO) << "after";
            }),
            0);
  EXPECT_THAT(FilesIn(options_.ring_directory, ".ring"), SizeIs(1));
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].text, "after");
  EXPECT_EQ(records[1].text, "*** Signal 10 received, and handled ***");
  EXPECT_EQ(records[1].line, 10);
}

TEST_F(FailureTest, DoesNothingBeforeInstall) {
  EXPECT_EQ(RunToDeath([&] {
              FailureWriter("text");
              FailureWriter(nullptr);
              MustInstall(options_);
            }),
            0);
  EXPECT_THAT(ReadLogAndRecover(directory_), IsEmpty());
}

TEST_F(FailureTest, ForkedChildDoesNotWriteToParentsRing) {
  EXPECT_EQ(RunToDeath([&] {
              MustInstall(options_);
              const pid_t child = Fork();
              if (child == 0) {
                FailureWriter("text");
                FailureWriter(nullptr);
                _exit(0);
              }
              int status;
              if (waitpid(child, &status, 0) != child || status != 0) _exit(1);
            }),
            0);
  EXPECT_THAT(ReadLogAndRecover(directory_), IsEmpty());
}

}  // namespace
}  // namespace ringlog
