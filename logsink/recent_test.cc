// Checks RingLogSink::Recent(), the last records of a running log.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/options.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RecentTest : public ::testing::Test {
 protected:
  RecentTest() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = MakeTestDirectory();
    options_.overflow = OverflowPolicy::kBlock;
    options_.block_deadline = absl::Minutes(10);
    options_.recent_records = 10;
  }

  void Open() {
    auto sink = RingLogSink::Create(options_);
    ASSERT_TRUE(sink.ok()) << sink.status();
    sink_ = *std::move(sink);
  }
  void Log(int number) {
    LOG(INFO).ToSinkOnly(sink_.get()) << "record " << number;
  }
  // Returns the numbers of the `count` last records.
  std::vector<int> Recent(size_t count) {
    std::vector<int> numbers;
    for (absl::string_view line : sink_->Recent(count)) {
      line.remove_prefix(line.find("] record ") + 9);
      int number = -1;
      EXPECT_TRUE(absl::ConsumeSuffix(&line, "\n") &&
                  absl::SimpleAtoi(line, &number))
          << line;
      numbers.push_back(number);
    }
    return numbers;
  }

  RingLogSinkOptions options_;
  std::unique_ptr<RingLogSink> sink_;
};

TEST_F(RecentTest, ReturnsLastRecordsInOrder) {
  Open();
  EXPECT_THAT(Recent(3), IsEmpty());
  Log(1);
  EXPECT_THAT(Recent(3), ElementsAre(1));
  for (int i = 2; i <= 9; ++i) Log(i);
  EXPECT_THAT(Recent(3), ElementsAre(7, 8, 9));
  EXPECT_THAT(Recent(0), IsEmpty());
  for (int i = 10; i <= 100; ++i) Log(i);
  EXPECT_THAT(Recent(1000),
              ElementsAre(91, 92, 93, 94, 95, 96, 97, 98, 99, 100));
}

TEST_F(RecentTest, LineEqualsThatOfSegment) {
  for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
    options_.format = format;
    options_.directory = MakeTestDirectory();
    Open();
    LOG(INFO).ToSinkOnly(sink_.get()) << "one\ntwo";
    const std::vector<std::string> recent = sink_->Recent(1);
    ASSERT_TRUE(sink_->Close().ok());
    EXPECT_THAT(recent, ElementsAre(AllText(options_.directory)));
  }
}

TEST_F(RecentTest, ReturnsRecordsAfterClose) {
  Open();
  Log(1);
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(Recent(1), ElementsAre(1));
}

TEST_F(RecentTest, IncludesDrops) {
  options_.overflow = OverflowPolicy::kDropNewest;
  options_.ring_bytes = 64 << 10;
  Open();
  const std::string too_much(15000, 'x');
  const DropCounts none = {};
  while (sink_->ring().dropped() == none) {
    LOG(INFO).ToSinkOnly(sink_.get()) << too_much;
  }
  sink_->Flush();
  Log(1);
  bool is_reported = false;
  for (const std::string& lines : sink_->Recent(10)) {
    is_reported |= absl::StrContains(lines, "ring_full");
  }
  EXPECT_TRUE(is_reported);
}

TEST_F(RecentTest, IsEmptyWithoutOption) {
  options_.recent_records = 0;
  Open();
  Log(1);
  EXPECT_THAT(Recent(1), IsEmpty());
}

TEST_F(RecentTest, IsEmptyWithoutFlusher) {
  options_.overflow = OverflowPolicy::kOverwriteOldest;
  Open();
  Log(1);
  EXPECT_THAT(Recent(1), IsEmpty());
}

// Invariants checked: the numbers are consecutive, and include each record
// logged before the call.
TEST_F(RecentTest, IsConsecutiveUnderLoad) {
  options_.recent_records = 1000;
  Open();
  std::atomic<int> logged{0};
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 1; !done.load(); ++i) {
      Log(i);
      logged.store(i);
    }
  });
  while (logged.load() < 2000) {
    const int before = logged.load();
    const std::vector<int> recent = Recent(1000);
    if (before > 0) {
      ASSERT_FALSE(recent.empty());
      ASSERT_GE(recent.back(), before);
    }
    for (size_t i = 1; i < recent.size(); ++i) {
      ASSERT_EQ(recent[i], recent[i - 1] + 1);
    }
  }
  done.store(true);
  writer.join();
}

}  // namespace
}  // namespace ringlog
