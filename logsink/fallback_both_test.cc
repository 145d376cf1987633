// Checks that each operation of a sink with two directories covers both.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/fallback_test_fixture.h"
#include "ringlog/logsink/internal/failover_log.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// Logs to both directories alternately.
class BothDirectoriesTest : public FallbackFixture {
 protected:
  BothDirectoriesTest() { options_.recent_records = 10; }

  void LogAlternately() {
    Open();
    Log("one");
    WaitUntilWritten(1);
    Block();
    // Otherwise the open segment would still accept records.
    sink_->Rotate().IgnoreError();
    Log("two");
    WaitForFallback();
    Log("three");
    WaitUntilWritten(2);
    recent_on_fallback_ = sink_->Recent(10);
    Unblock();
    WaitForReturn();
    Log("four");
    WaitUntilWritten(4);
  }
  static std::vector<std::string> TextsOf(
      const std::vector<std::string>& lines) {
    std::vector<std::string> texts;
    for (absl::string_view line : lines) {
      texts.push_back(TextOfLine(line.substr(0, line.find('\n'))));
    }
    return texts;
  }

  std::vector<std::string> recent_on_fallback_;
};

TEST_F(BothDirectoriesTest, CatMergesBothByTime) {
  LogAlternately();
  for (const char* when : {"while it runs", "after its end"}) {
    std::vector<std::string> arguments = Directories();
    arguments.insert(arguments.begin(), "cat");
    for (const std::string& ring : Rings()) arguments.push_back(ring);
    const ToolRun run = RunTool("ringlog", arguments);
    EXPECT_EQ(run.exit_status, 0) << when << run.err;
    const std::vector<std::string> lines =
        absl::StrSplit(run.out, '\n', absl::SkipEmpty());
    EXPECT_THAT(TextsOf(lines), ElementsAre("one", "two", "three", "four"))
        << when;
    ASSERT_TRUE(sink_->Close().ok());
  }
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("two", "four"));
  EXPECT_THAT(TextsIn(options_.fallback_directory), ElementsAre("three"));
}

TEST_F(BothDirectoriesTest, RecentRecordsMergeBothByTime) {
  for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
    options_.format = format;
    LogAlternately();
    const std::vector<std::string> recent = sink_->Recent(3);
    ASSERT_TRUE(sink_->Close().ok());
    Block();
    Unblock();
    ASSERT_THAT(recent, SizeIs(3));
    EXPECT_THAT(recent[0], HasSubstr("two"));
    EXPECT_THAT(recent[1], HasSubstr("three"));
    EXPECT_THAT(recent[2], HasSubstr("four"));
    ASSERT_THAT(recent_on_fallback_, SizeIs(3));
    EXPECT_THAT(recent_on_fallback_[1], HasSubstr("two"));
    EXPECT_THAT(recent_on_fallback_[2], HasSubstr("three"));
  }
}

TEST_F(BothDirectoriesTest, CountersAreSumOfBoth) {
  LogAlternately();
  ASSERT_TRUE(sink_->Close().ok());
  const RingLogSinkCounters counters = sink_->counters();
  EXPECT_EQ(counters.written_records, 4u);
  EXPECT_EQ(counters.segments, 3u);
  EXPECT_GE(counters.write_errors, uint64_t{FailoverLog::kErrorsToSwitch});
  EXPECT_NE(counters.last_error, absl::StatusCode::kOk);
  RingLogSinkOptions alone = options_;
  alone.fallback_directory.clear();
  alone.directory = base_ + "/alone";
  const auto other = RingLogSink::Create(alone);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(counters.ring_slots, 2 * (*other)->counters().ring_slots);
  LOG(INFO).ToSinkOnly(sink_.get()) << "late";
  EXPECT_EQ(sink_->counters().dropped_records, 1u);
}

TEST_F(BothDirectoriesTest, ReconfigureAndRotateReachBoth) {
  absl::Mutex mutex;
  std::vector<std::string> closed;
  LogAlternately();
  RingLogSinkOptions changed = options_;
  changed.on_segment_closed = [&](const std::string& path) {
    absl::MutexLock lock(&mutex);
    closed.push_back(path);
  };
  ASSERT_TRUE(sink_->Reconfigure(changed).ok());
  ASSERT_TRUE(sink_->Rotate().ok());
  {
    absl::MutexLock lock(&mutex);
    EXPECT_THAT(closed, UnorderedElementsAre(
                            StartsWith(options_.directory + "/"),
                            StartsWith(options_.fallback_directory + "/")));
  }
  changed.fallback_directory = base_ + "/third";
  const absl::Status status = sink_->Reconfigure(changed);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("fallback_directory"), HasSubstr("third")));
  EXPECT_TRUE(sink_->Close().ok());
}

}  // namespace
}  // namespace ringlog
