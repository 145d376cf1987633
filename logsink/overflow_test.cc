// Checks the overflow policies with a flusher that cannot write: which records
// are kept, and which losses the log reports.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/blocked_directory.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/stopping_page.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The records of a log, and the gaps that it reports.
struct Log {
  std::vector<std::string> texts;
  std::vector<Gap> gaps;
};

Log ReadLog(const std::string& directory) {
  Log log;
  DecodeSink sink;
  sink.on_record = [&log](const DecodedRecord& r) {
    if (r.gap != nullptr) {
      log.gaps.push_back(*r.gap);
    } else {
      log.texts.emplace_back(r.record.text);
    }
    return true;
  };
  sink.on_unusable = [](const std::string& path, const absl::Status& status) {
    ADD_FAILURE() << path << ": " << status;
  };
  Decode({directory}, sink);
  return log;
}

uint64_t Count(const Gap& gap, Severity severity) {
  return gap.records[static_cast<size_t>(severity)];
}

class OverflowTest : public ::testing::Test {
 protected:
  OverflowTest() : blocked_(directory_ + "/logs") {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = directory_ + "/logs";
    options_.ring_directory = directory_ + "/rings";
    options_.ring_bytes = 64 << 10;
    options_.flush_interval = absl::Milliseconds(1);
  }
  ~OverflowTest() override { Close(); }

  void OpenBlocked() {
    auto sink = RingLogSink::Create(options_);
    ASSERT_TRUE(sink.ok()) << sink.status();
    sink_ = *std::move(sink);
    blocked_.Block();
    absl::AddLogSink(sink_.get());
  }

  // Waits until the flusher has taken a record that it cannot write. No later
  // loss is reported before Unblock().
  void LetFlusherTry() {
    LOG(INFO) << "first";
    while (sink_->counters().write_errors == 0) std::this_thread::yield();
  }

  void Close() {
    if (sink_ == nullptr) return;
    absl::RemoveLogSink(sink_.get());
    EXPECT_TRUE(sink_->Close().ok());
    sink_.reset();
  }

  // Logs one-slot records until the ring is full for `severity`, and `more`
  // records beyond. Returns the number of records that fit.
  uint64_t Fill(Severity severity, uint64_t more) {
    const uint64_t room =
        sink_->ring().capacity(severity) - sink_->counters().used_slots;
    for (uint64_t i = 0; i < room + more; ++i) {
      LOG(LEVEL(static_cast<absl::LogSeverity>(severity)))
          << SeverityName(severity) << " " << i;
    }
    return room;
  }

  uint64_t Dropped(DropCause cause, Severity severity) {
    return sink_->counters()
        .dropped[static_cast<size_t>(cause)][static_cast<size_t>(severity)];
  }

  const std::string directory_ = MakeTestDirectory();
  RingLogSinkOptions options_;
  BlockedDirectory blocked_;
  std::unique_ptr<RingLogSink> sink_;
};

TEST_F(OverflowTest, DropNewestReservesSlotsForWarnings) {
  OpenBlocked();
  const absl::Time begin = absl::Now();
  LetFlusherTry();
  const uint64_t infos = Fill(Severity::kInfo, 38);
  const uint64_t warnings = Fill(Severity::kWarning, 5);
  EXPECT_GT(infos, 0u);
  EXPECT_GT(warnings, 0u) << "slots are reserved for WARNING";
  EXPECT_EQ(Dropped(DropCause::kRingFull, Severity::kInfo), 38u);
  EXPECT_EQ(Dropped(DropCause::kRingFull, Severity::kWarning), 5u);
  LOG(ERROR) << "no reserved slot is left";
  EXPECT_EQ(Dropped(DropCause::kRingFull, Severity::kError), 1u);
  const absl::Time end = absl::Now();
  const uint64_t position = sink_->ring().tail_position();
  blocked_.Unblock();
  Close();

  const Log log = ReadLog(options_.directory);
  EXPECT_THAT(log.texts, SizeIs(1 + infos + warnings));
  ASSERT_THAT(log.gaps, SizeIs(1));
  const Gap& gap = log.gaps[0];
  EXPECT_EQ(gap.cause, GapCause::kRingFull);
  EXPECT_EQ(Count(gap, Severity::kInfo), 38u);
  EXPECT_EQ(Count(gap, Severity::kWarning), 5u);
  EXPECT_EQ(Count(gap, Severity::kError), 1u);
  EXPECT_EQ(gap.first_position, gap.end_position);
  EXPECT_LE(gap.end_position, position);
  // The gap covers the time from the last batch, or the creation of the sink,
  // to the next batch.
  EXPECT_LE(absl::FromUnixNanos(gap.first_time_ns), end);
  EXPECT_GE(absl::FromUnixNanos(gap.last_time_ns), begin);
  EXPECT_THAT(
      AllText(options_.directory),
      HasSubstr("ringlog:0] 38 INFO, 5 WARNING, 1 ERROR records dropped "
                "before position "));
  EXPECT_THAT(AllText(options_.directory), HasSubstr(": the ring was full\n"));
}

TEST_F(OverflowTest, FatalRecordEntersFullRing) {
  const int status = RunChild([this] {
    OpenBlocked();
    LetFlusherTry();
    Fill(Severity::kInfo, 1);
    Fill(Severity::kWarning, 1);
    LOG(ERROR) << "no room for this";
    LOG(FATAL) << "the reason";
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  blocked_.Unblock();
  const RecoveredLeftovers leftovers =
      RecoverLeftovers(options_.ring_directory, options_.directory);
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(ReadLog(options_.directory).texts, Contains("the reason"));
  EXPECT_THAT(AllText(options_.directory),
              HasSubstr(" 1 INFO, 1 WARNING, 1 ERROR records dropped"));
}

TEST_F(OverflowTest, BlockDropsAfterDeadline) {
  options_.overflow = OverflowPolicy::kBlock;
  options_.block_deadline = absl::Milliseconds(1);
  OpenBlocked();
  LetFlusherTry();
  Fill(Severity::kInfo, 3);
  EXPECT_EQ(Dropped(DropCause::kTimedOut, Severity::kInfo), 3u);
  blocked_.Unblock();
  Close();
  const Log log = ReadLog(options_.directory);
  ASSERT_THAT(log.gaps, SizeIs(1));
  EXPECT_EQ(log.gaps[0].cause, GapCause::kTimedOut);
  EXPECT_EQ(Count(log.gaps[0], Severity::kInfo), 3u);
  EXPECT_THAT(AllText(options_.directory),
              HasSubstr("] 3 INFO records dropped"));
}

TEST_F(OverflowTest, BlockWaitsAndLosesNothing) {
  constexpr int kThreads = 4, kRecords = 200;
  options_.overflow = OverflowPolicy::kBlock;
  options_.block_deadline = absl::Minutes(10);
  OpenBlocked();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < kRecords; ++i) LOG(INFO) << t << " " << i;
    });
  }
  while (sink_->counters().used_slots <
         sink_->ring().capacity(Severity::kInfo)) {
    std::this_thread::yield();
  }
  blocked_.Unblock();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sink_->counters().dropped_records, 0u);
  Close();
  const Log log = ReadLog(options_.directory);
  EXPECT_THAT(log.gaps, IsEmpty());
  std::vector<int> next(kThreads);
  for (const std::string& text : log.texts) {
    const std::vector<std::string> parts = absl::StrSplit(text, ' ');
    const auto thread = static_cast<size_t>(std::stoi(parts[0]));
    ASSERT_EQ(parts[1], absl::StrCat(next[thread]++));
  }
  EXPECT_THAT(next, ::testing::Each(kRecords));
}

TEST_F(OverflowTest, FlightRecorderKeepsLastRecords) {
  options_.overflow = OverflowPolicy::kOverwriteOldest;
  EXPECT_EQ(RunChild([this] {
              if (!Install(options_).ok()) _exit(1);
              for (int i = 0; i < 1000; ++i) LOG(INFO) << "record " << i;
              raise(SIGKILL);
            }),
            SIGKILL);
  EXPECT_THAT(FilesIn(options_.directory, ".zst"), IsEmpty());
  const ToolRun cat =
      RunTool("ringlog", {"cat", "--last=3", options_.ring_directory});
  std::vector<std::string> lines =
      absl::StrSplit(cat.out, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(3));
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_THAT(lines[i],
                ::testing::EndsWith(absl::StrCat("record ", 997 + i)));
  }
  // The next start of the program.
  EXPECT_EQ(RunChild([this] {
              if (!Install(options_).ok()) _exit(1);
              WaitForRecovery(absl::InfiniteDuration());
            }),
            0);
  const Log log = ReadLog(options_.directory);
  ASSERT_FALSE(log.texts.empty());
  size_t next = 1000 - log.texts.size();
  for (const std::string& text : log.texts) {
    EXPECT_EQ(text, absl::StrCat("record ", next++));
  }
  ASSERT_THAT(log.gaps, SizeIs(1));
  EXPECT_EQ(log.gaps[0].cause, GapCause::kOverwritten);
  EXPECT_EQ(Count(log.gaps[0], Severity::kInfo), 1000 - log.texts.size());
}

// Appends a record like the sink, with a text that stops the thread in the
// middle of Append().
TEST_F(OverflowTest, StuckWriterIsReportedAndSkipped) {
  auto sink = RingLogSink::Create(options_);
  ASSERT_TRUE(sink.ok()) << sink.status();
  sink_ = *std::move(sink);
  absl::AddLogSink(sink_.get());
  LOG(INFO) << "before";
  auto& ring = const_cast<Ring&>(sink_->ring());
  StoppingPage page;
  Record record;
  record.thread_id = 4711;
  record.text = page.text();
  std::thread stuck([&] {
    std::array<char, kRecordHeadFixedBytes> head;
    EncodeRecordHead(record, absl::MakeSpan(head));
    ring.Append(Severity::kInfo, absl::string_view(head.data(), head.size()),
                record.text);
  });
  page.AwaitReader();
  const uint64_t position = ring.tail_position() - 1;
  LOG(INFO) << "after";
  while (sink_->counters().skipped_slots == 0) absl::FlushLogSinks();
  page.Resume();
  stuck.join();
  Close();
  const Log log = ReadLog(options_.directory);
  EXPECT_THAT(log.texts, ElementsAre("before", "after", record.text))
      << "the writer appends its record again";
  ASSERT_THAT(log.gaps, SizeIs(1));
  EXPECT_EQ(log.gaps[0].cause, GapCause::kStuckWriter);
  EXPECT_EQ(log.gaps[0].first_position, position);
  EXPECT_EQ(log.gaps[0].end_position, position + 1);
  EXPECT_EQ(log.gaps[0].thread_id, 4711);
  EXPECT_THAT(
      AllText(options_.directory),
      HasSubstr(absl::StrCat("position ", position, " missing: thread ",
                             record.thread_id, " did not finish in time\n")));
}

}  // namespace
}  // namespace ringlog
