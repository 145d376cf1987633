// Changes options while the sink runs.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::EndsWith;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class ReconfigureTest : public ::testing::Test {
 protected:
  ReconfigureTest() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = MakeTestDirectory();
    options_.overflow = OverflowPolicy::kBlock;
    options_.block_deadline = absl::Minutes(10);
  }

  void Open() {
    auto sink = RingLogSink::Create(options_);
    ASSERT_TRUE(sink.ok()) << sink.status();
    sink_ = *std::move(sink);
  }
  void Reconfigure() {
    const absl::Status status = sink_->Reconfigure(options_);
    EXPECT_TRUE(status.ok()) << status;
  }
  void Log(absl::LogSeverity severity, const std::string& text) {
    LOG(LEVEL(severity)).ToSinkOnly(sink_.get()) << text;
  }
  // Logs 6000 bytes that compress to more than 4096, and flushes them.
  void LogNoise(absl::LogSeverity severity) {
    std::string noise;
    for (int i = 0; i < 6000; ++i) {
      noise += static_cast<char>('0' + random_() % 64);
    }
    Log(severity, noise);
    Flush();
  }
  // Returns after an iteration of the flusher: all records are in segments, and
  // the flusher has adopted the options set before.
  void Flush() { sink_->Flush(); }
  std::vector<std::string> Segments() {
    return FilesIn(options_.directory, ".zst");
  }

  std::mt19937_64 random_{TestSeed()};
  RingLogSinkOptions options_;
  std::unique_ptr<RingLogSink> sink_;
};

TEST_F(ReconfigureTest, MinSeverityChangesAtOnce) {
  Open();
  Log(absl::LogSeverity::kInfo, "one");
  options_.min_severity = absl::LogSeverityAtLeast::kError;
  Reconfigure();
  Log(absl::LogSeverity::kWarning, "two");
  Log(absl::LogSeverity::kError, "three");
  options_.min_severity = absl::LogSeverityAtLeast::kInfo;
  Reconfigure();
  Log(absl::LogSeverity::kInfo, "four");
  ASSERT_TRUE(sink_->Close().ok());
  const std::vector<std::string> lines = AllLines(options_.directory);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[1], EndsWith("] three"));
  EXPECT_THAT(lines[2], EndsWith("] four"));
}

TEST_F(ReconfigureTest, SegmentSizeChanges) {
  options_.rotation.max_segment_bytes = 0;
  Open();
  for (int i = 0; i < 10; ++i) LogNoise(absl::LogSeverity::kInfo);
  EXPECT_THAT(Segments(), SizeIs(1));
  options_.rotation.max_segment_bytes = 4096;
  Reconfigure();
  for (int i = 0; i < 10; ++i) LogNoise(absl::LogSeverity::kInfo);
  EXPECT_THAT(Segments(), SizeIs(Gt(1u)));
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(AllLines(options_.directory), SizeIs(20));
}

// The old interval is a minute, so only the new one can flush the record.
TEST_F(ReconfigureTest, ShorterFlushIntervalAppliesAtOnce) {
  options_.flush_interval = absl::Minutes(1);
  Open();
  Log(absl::LogSeverity::kInfo, "first");
  Flush();
  Log(absl::LogSeverity::kInfo, "waits");
  options_.flush_interval = absl::Milliseconds(1);
  Reconfigure();
  while (!absl::StrContains(Decompress(Segments()[0]), "waits")) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(sink_->Close().ok());
}

// A segment is either synced as a whole, with a frame for each batch, or not at
// all.
TEST_F(ReconfigureTest, ChangeOfSyncClosesSegment) {
  Open();
  for (const bool sync : {true, false, true}) {
    Log(absl::LogSeverity::kInfo, absl::StrCat("before sync=", sync));
    Flush();
    options_.sync = sync;
    Reconfigure();
  }
  Log(absl::LogSeverity::kInfo, "last");
  Flush();
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(Segments(), SizeIs(4));
  EXPECT_THAT(AllLines(options_.directory), SizeIs(4));
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), IsEmpty());
}

TEST_F(ReconfigureTest, CompressionLevelAppliesToNextSegment) {
  options_.rotation.max_segment_bytes = 0;
  Open();
  std::string text;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&text, i * i % 977, " ");
  const auto log = [&] {
    Log(absl::LogSeverity::kInfo, text);
    Flush();
  };
  log();
  options_.compression_level = 19;
  options_.sync = true;  // begins the next segment
  Reconfigure();
  log();
  ASSERT_TRUE(sink_->Close().ok());
  const std::vector<std::string> segments = Segments();
  ASSERT_THAT(segments, SizeIs(2));
  EXPECT_LT(ReadFile(segments[1]).size(), ReadFile(segments[0]).size());
}

TEST_F(ReconfigureTest, FixedOptionIsNamed) {
  Open();
  const RingLogSinkOptions before = options_;
  struct Case {
    const char* name;
    void (*change)(RingLogSinkOptions*);
  };
  for (const Case& c :
       {Case{"directory", [](auto* o) { o->directory += "x"; }},
        Case{"ring_directory", [](auto* o) { o->ring_directory = "/x"; }},
        Case{"ring_bytes", [](auto* o) { o->ring_bytes = 1 << 20; }},
        Case{"overflow",
             [](auto* o) { o->overflow = OverflowPolicy::kDropNewest; }},
        Case{"block_deadline",
             [](auto* o) { o->block_deadline = absl::Seconds(1); }},
        Case{"format", [](auto* o) { o->format = LineFormat::kJson; }},
        Case{"recent_records", [](auto* o) { o->recent_records = 5; }},
        Case{"structured", [](auto* o) { o->structured = true; }},
        Case{"context", [](auto* o) { o->context = [](ContextFields&) {}; }}}) {
    options_ = before;
    options_.min_severity = absl::LogSeverityAtLeast::kFatal;
    c.change(&options_);
    const absl::Status status = sink_->Reconfigure(options_);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(status.message(),
                HasSubstr(absl::StrCat("option ", c.name, " cannot change")));
  }
  // No other option has changed either.
  Log(absl::LogSeverity::kInfo, "stored");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(AllLines(before.directory), SizeIs(1));
}

TEST_F(ReconfigureTest, InvalidOptionIsRefused) {
  Open();
  options_.compression_level = 99;
  EXPECT_EQ(sink_->Reconfigure(options_), CheckOptions(options_));
}

// The objects that a replaced callback holds are destroyed while the sink
// lives.
TEST_F(ReconfigureTest, ReplacedOptionsAreDestroyed) {
  Open();
  const auto held = std::make_shared<int>();
  options_.on_segment_closed = [held](const std::string&) {};
  Reconfigure();
  EXPECT_GT(held.use_count(), 2);
  options_.on_segment_closed = nullptr;
  Reconfigure();
  ASSERT_TRUE(sink_->Close().ok());  // the flusher has adopted the options
  EXPECT_EQ(held.use_count(), 1);
}

// Each use of the options delays their destruction, so several threads replace
// them.
TEST_F(ReconfigureTest, ManyThreadsMayReconfigure) {
  Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      RingLogSinkOptions options = options_;
      for (int i = 0; i < 500; ++i) {
        options.compression_level = 1 + (t + i) % 3;
        EXPECT_TRUE(sink_->Reconfigure(options).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Log(absl::LogSeverity::kInfo, "stored");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(AllLines(options_.directory), SizeIs(1));
}

// The child changes options before it has a ring. Its ring then uses them.
TEST_F(ReconfigureTest, ForkedChildHasItsOwnOptions) {
#ifdef ABSL_HAVE_THREAD_SANITIZER
  GTEST_SKIP() << "the sanitizer does not support threads in a forked child";
#endif
  Open();
  const pid_t child = Fork();
  if (child == 0) {
    options_.min_severity = absl::LogSeverityAtLeast::kError;
    options_.rotation.max_segment_bytes = 4096;
    Reconfigure();
    Log(absl::LogSeverity::kWarning, "child's warning");
    LogNoise(absl::LogSeverity::kError);
    Log(absl::LogSeverity::kError, "child's error");
    _exit(HasFailure() || !sink_->Close().ok() ? 1 : 0);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Log(absl::LogSeverity::kWarning, "parent's warning");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(AllLines(options_.directory),
              UnorderedElementsAre(EndsWith("] child's error"),
                                   EndsWith("] parent's warning"),
                                   ::testing::StartsWith("E")));
  EXPECT_THAT(Segments(), SizeIs(3))
      << "the option of the child makes two of them";
}

TEST_F(ReconfigureTest, TakenRecordsAreKept) {
  options_.flush_interval = absl::Minutes(1);
  Open();
  Log(absl::LogSeverity::kInfo, "zero");
  Flush();  // the interval begins here
  for (const char* text : {"one", "two"}) {
    Log(absl::LogSeverity::kInfo, text);
    while (sink_->ring().unprocessed_count() != 0) std::this_thread::yield();
    options_.sync = !options_.sync;
    Reconfigure();
    Flush();
  }
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(AllLines(options_.directory),
              ::testing::ElementsAre(EndsWith("] zero"), EndsWith("] one"),
                                     EndsWith("] two")));
}

// Invariants checked: while options change, each record is in the log, once and
// in order.
TEST_F(ReconfigureTest, LosesNothingUnderLoad) {
  options_.rotation.max_segment_bytes = 4096;
  options_.flush_interval = absl::Milliseconds(1);
  Open();
  constexpr int kRecords = 4000;
  std::atomic<bool> done{false};
  std::thread changes([&] {
    RingLogSinkOptions options = options_;
    for (int i = 0; !done.load(); ++i) {
      options.sync = i % 4 == 3;
      options.compression_level = 1 + i % 3;
      options.rotation.max_segment_bytes = i % 2 == 0 ? 4096 : 0;
      options.flush_interval = absl::Milliseconds(1 + i % 2);
      EXPECT_TRUE(sink_->Reconfigure(options).ok());
      sink_->Flush();
    }
  });
  for (int i = 0; i < kRecords; ++i) {
    Log(absl::LogSeverity::kInfo, absl::StrCat("record ", i));
  }
  done.store(true);
  changes.join();
  ASSERT_TRUE(sink_->Close().ok());
  const std::vector<std::string> lines = AllLines(options_.directory);
  ASSERT_THAT(lines, SizeIs(kRecords));
  for (int i = 0; i < kRecords; ++i) {
    ASSERT_THAT(lines[static_cast<size_t>(i)],
                EndsWith(absl::StrCat("] record ", i)));
  }
}

}  // namespace
}  // namespace ringlog
