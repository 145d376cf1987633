// Runs processes that Abseil ends because of a FATAL record or a CHECK. Checks
// that the log has the message once, and after it the stack once.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/barrier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/record.h"
#include "ringlog/testing/fixtures/dying_process.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::string_view kStackBegin =
    "*** Check failure stack trace: ***\n";

bool IsStack(const LoggedRecord& record) {
  return absl::StartsWith(record.text, kStackBegin);
}

struct Death {
  std::string name;
  void (*die)();
  bool has_stack;  // if true, abort() ends the process, otherwise _exit(1)
};
std::ostream& operator<<(std::ostream& out, const Death& death) {
  return out << death.name;
}

const std::vector<Death>& Deaths() {
  static const auto* const deaths = new std::vector<Death>{
      {"LogFatal", [] { LOG(FATAL) << "the reason"; }, true},
      {"Check", [] { CHECK(getpid() == 0) << "the reason"; }, true},
      {"CheckEq", [] { CHECK_EQ(getpid(), 0) << "the reason"; }, true},
      {"LogQFatal", [] { LOG(QFATAL) << "the reason"; }, false},
      {"QCheck", [] { QCHECK(getpid() == 0) << "the reason"; }, false},
#ifndef NDEBUG
      {"DCheck", [] { DCHECK(getpid() == 0) << "the reason"; }, true},
      {"DLogFatal", [] { DLOG(FATAL) << "the reason"; }, true},
#endif
  };
  return *deaths;
}

void ExpectEnd(int status, const Death& death) {
  if (death.has_stack) {
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  } else {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  }
}

// Checks the FATAL records among `records`.
void ExpectMessageAndStack(std::vector<LoggedRecord> records,
                           const Death& death) {
  records.erase(std::remove_if(records.begin(), records.end(),
                               [](const LoggedRecord& record) {
                                 return record.severity != Severity::kFatal;
                               }),
                records.end());
  ASSERT_THAT(records, SizeIs(death.has_stack ? 2 : 1));
  EXPECT_THAT(records[0].text, HasSubstr("the reason"));
  EXPECT_EQ(records[0].file, "fatal_test.cc");
  if (!death.has_stack) return;
  EXPECT_TRUE(IsStack(records[1])) << records[1];
  EXPECT_THAT(records[1].text.substr(kStackBegin.size()), HasSubstr("@ "));
  EXPECT_FALSE(absl::EndsWith(records[1].text, "\n"));
  EXPECT_EQ(records[1].thread_id, records[0].thread_id);
  EXPECT_EQ(records[1].line, records[0].line);
}

class FatalTest : public ::testing::TestWithParam<Death> {
 protected:
  const std::string directory_ = MakeTestDirectory();
  const RingLogSinkOptions options_ = DyingOptions(directory_);
};

INSTANTIATE_TEST_SUITE_P(Kinds, FatalTest, ::testing::ValuesIn(Deaths()),
                         ::testing::PrintToStringParamName());

TEST_P(FatalTest, MainThreadLogsMessageAndStack) {
  ExpectEnd(RunToDeath([&] {
              MustInstall(options_);
              LOG(INFO) << "before";
              GetParam().die();
            }),
            GetParam());
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory_);
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records[0].text, "before");
  ExpectMessageAndStack(records, GetParam());
}

TEST_P(FatalTest, OtherThreadLogsMessageAndStack) {
  ExpectEnd(RunToDeath([&] {
              MustInstall(options_);
              std::thread(GetParam().die).join();
            }),
            GetParam());
  ExpectMessageAndStack(ReadLogAndRecover(directory_), GetParam());
}

// Slots are reserved for FATAL.
TEST_P(FatalTest, FullRingAcceptsMessageAndStack) {
  ExpectEnd(RunToDeath([&] {
              FillRing(MustInstall(options_), options_);
              GetParam().die();
            }),
            GetParam());
  ExpectMessageAndStack(ReadLogAndRecover(directory_), GetParam());
}

// The thread that ended the process has both records. The others may have been
// interrupted.
TEST(TwoFatalTest, TwoThreadsLogTheirMessages) {
  const std::string directory = MakeTestDirectory();
  const int status = RunToDeath([&] {
    MustInstall(DyingOptions(directory));
    absl::Barrier* const barrier = new absl::Barrier(2);
    const auto die = [barrier] {
      barrier->Block();
      LOG(FATAL) << "the reason";
    };
    std::thread one(die);
    std::thread two(die);
    one.join();
    two.join();
  });
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory);
  std::vector<int64_t> with_message;
  std::vector<int64_t> with_stack;
  for (const LoggedRecord& record : records) {
    const bool has_message =
        std::count(with_message.begin(), with_message.end(),
                   record.thread_id) != 0;
    if (IsStack(record)) {
      EXPECT_TRUE(has_message) << record;
      EXPECT_EQ(
          std::count(with_stack.begin(), with_stack.end(), record.thread_id), 0)
          << record;
      with_stack.push_back(record.thread_id);
    } else {
      EXPECT_FALSE(has_message) << record;
      EXPECT_EQ(record.text, "the reason");
      with_message.push_back(record.thread_id);
    }
  }
  EXPECT_FALSE(with_stack.empty());
}

// A sink that gets the message directly after RingLogSink, and kills the
// process.
class KillingSink : public absl::LogSink {
 public:
  void Send(const absl::LogEntry& entry) override {
    if (entry.stacktrace().empty()) raise(SIGKILL);
  }
};

TEST(FatalOrderTest, MessageIsInRingBeforeStackIsCollected) {
  const std::string directory = MakeTestDirectory();
  const int status = RunToDeath([&] {
    MustInstall(DyingOptions(directory));
    absl::AddLogSink(new KillingSink);
    LOG(FATAL) << "the reason";
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  const std::vector<LoggedRecord> records = ReadLogAndRecover(directory);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].text, "the reason");
}

}  // namespace
}  // namespace ringlog
