// Fails over to the fallback directory and back while the first directory
// accepts nothing.
//
// Invariants checked:
//   - While the first directory accepts nothing, new records go to the fallback
//     directory.
//   - New records go to the first directory again after it has all records that
//     waited for it.
//   - Each record is in one of the directories, once, in the order of its
//     thread.
//
// Oracle: the records that the test logs, and libzstd. This file replaces
// pwrite(2), so that a number of calls fail.

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fallback_test_fixture.h"
#include "ringlog/logsink/internal/failover_log.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/small_file_system.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::atomic<int> g_failures_of_pwrite{0};

class FallbackTest : public FallbackFixture {};

// Logs "T N" from two threads, as fast as the ring accepts records.
class Load {
 public:
  explicit Load(RingLogSink* sink) {
    for (size_t t = 0; t < logged_.size(); ++t) {
      threads_.emplace_back([this, sink, t] { Run(sink, t); });
    }
  }
  // After a failure the threads may still be running.
  ~Load() { Stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void WaitForMore() const {
    for (const std::atomic<uint64_t>& logged : logged_) {
      const uint64_t enough = logged.load() + 500;
      WaitUntil([&] { return logged >= enough; });
    }
  }
  void Stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // Checks that each record is in the log once, and in order in each directory.
  void ExpectAllIn(const std::vector<std::string>& directories) const {
    std::array<std::vector<int>, 2> found;
    for (size_t t = 0; t < found.size(); ++t) found[t].resize(logged_[t]);
    for (const std::string& directory : directories) {
      std::array<uint64_t, 2> next = {};
      for (const std::string& line : AllLines(directory)) {
        // A busy machine may stop a thread for a second. Then a gap precedes
        // the thread's record. The last check finds a missing record.
        if (line[0] == ' ' || absl::StrContains(line, " ringlog:0] ")) continue;
        const std::vector<std::string> words =
            absl::StrSplit(TextOfLine(line), ' ');
        ASSERT_THAT(words, SizeIs(2)) << line;
        uint64_t t = 0;
        uint64_t n = 0;
        ASSERT_TRUE(absl::SimpleAtoi(words[0], &t) && t < found.size() &&
                    absl::SimpleAtoi(words[1], &n) && n < logged_[t])
            << line;
        EXPECT_GE(n, next[t]) << "not in order: " << line;
        next[t] = n + 1;
        ++found[t][n];
      }
    }
    for (const std::vector<int>& times : found) EXPECT_THAT(times, Each(1));
  }

 private:
  void Run(RingLogSink* sink, size_t t) {
    constexpr int kBurst = 16;
    while (!stopping_) {
      for (int i = 0; i < kBurst; ++i) {
        LOG(INFO).ToSinkOnly(sink) << t << ' ' << logged_[t].load();
        ++logged_[t];
      }
      // Prevents drops on a slow machine.
      do {
        absl::SleepFor(absl::Milliseconds(1));
      } while (IsHalfFull(sink->ring()));
    }
  }
  static bool IsHalfFull(const Ring& ring) {
    return ring.used_slots() > ring.header().slot_count / 2;
  }

  std::atomic<bool> stopping_{false};
  std::array<std::atomic<uint64_t>, 2> logged_ = {};
  std::vector<std::thread> threads_;
};

TEST_F(FallbackTest, KeepsEachRecordOnceUnderLoad) {
  options_.rotation.max_segment_bytes = 4096;
  Open();
  Load load(sink_.get());
  for (int cycle = 0; cycle < 5; ++cycle) {
    load.WaitForMore();
    Block();
    WaitForFallback();
    load.WaitForMore();
    Unblock();
    WaitForReturn();
  }
  load.WaitForMore();
  load.Stop();
  const RingLogSinkCounters counters = sink_->counters();
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_EQ(counters.dropped_records, 0u);
  EXPECT_THAT(Directories(), SizeIs(7));
  for (const std::string& directory : Directories()) {
    EXPECT_THAT(FilesIn(directory, ".log.zst"), Not(IsEmpty()));
  }
  load.ExpectAllIn(Directories());
  EXPECT_THAT(Rings(), IsEmpty());
}

TEST_F(FallbackTest, FullDiskFailsOverUntilItHasSpace) {
  InSmallFileSystem([this](const std::string& disk) {
    options_.directory = disk + "/logs";
    const std::string filler = disk + "/filler";
    Open();
    Load load(sink_.get());
    for (int cycle = 0; cycle < 3; ++cycle) {
      load.WaitForMore();
      FillFileSystem(filler);
      WaitForFallback();
      load.WaitForMore();
      unlink(filler.c_str());
      WaitForReturn();
    }
    load.Stop();
    ASSERT_TRUE(sink_->Close().ok());
    EXPECT_EQ(sink_->counters().dropped_records, 0u);
    EXPECT_THAT(Directories(), SizeIs(2));
    load.ExpectAllIn(Directories());
    EXPECT_THAT(Rings(), IsEmpty());
  });
}

// The flusher that gets the error fails over before its next attempt, so the
// test needs no clock.
class ErrorsTest : public FallbackTest,
                   public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(, ErrorsTest,
                         ::testing::Range(1, FailoverLog::kErrorsToSwitch + 3));

TEST_P(ErrorsTest, ConsecutiveErrorsFailOver) {
  Open();
  Log("first");
  WaitUntilWritten(1);
  g_failures_of_pwrite = GetParam();
  Log("second");
  WaitUntilWritten(2);
  const auto errors = static_cast<uint64_t>(GetParam());
  EXPECT_EQ(sink_->counters().write_errors, errors);
  EXPECT_EQ(std::filesystem::exists(options_.fallback_directory),
            GetParam() >= FailoverLog::kErrorsToSwitch);
  WaitForReturn();
  Log("third");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(TextsIn(options_.directory),
              ElementsAre("first", "second", "third"));
}

TEST_F(FallbackTest, SeparateErrorsDoNotFailOver) {
  Open();
  for (int i = 0; i < 2 * FailoverLog::kErrorsToSwitch; ++i) {
    g_failures_of_pwrite = FailoverLog::kErrorsToSwitch - 1;
    Log(absl::StrCat(i));
    WaitUntilWritten(static_cast<uint64_t>(i) + 1);
  }
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_FALSE(std::filesystem::exists(options_.fallback_directory));
}

TEST_F(FallbackTest, WaitingRecordsPrecedeNewOnes) {
  Open();
  Block();
  std::vector<std::string> waiting;
  while (!sink_->uses_fallback()) {
    // 1000 records do not fill the ring.
    if (waiting.size() < 1000) {
      waiting.push_back(absl::StrCat("waits ", waiting.size()));
      Log(waiting.back());
    }
  }
  Log("elsewhere");
  WaitUntil([this] {
    const std::vector<std::string> texts = TextsIn(options_.fallback_directory);
    return std::find(texts.begin(), texts.end(), "elsewhere") != texts.end();
  });
  Unblock();
  WaitForReturn();
  const size_t in_first = TextsIn(options_.directory).size();
  Log("new");
  ASSERT_TRUE(sink_->Close().ok());
  std::vector<std::string> texts = TextsIn(options_.directory);
  ASSERT_FALSE(texts.empty());
  EXPECT_EQ(texts.back(), "new");
  texts.pop_back();
  EXPECT_EQ(texts.size(), in_first);
  // The last waiting record may be in the fallback directory.
  const std::vector<std::string> second = TextsIn(options_.fallback_directory);
  texts.insert(texts.end(), second.begin(), second.end());
  waiting.push_back("elsewhere");
  EXPECT_EQ(texts, waiting);
}

// A ring that no start finds must not get new records.
TEST_F(FallbackTest, LostRingIsReplacedBeforeReturn) {
  options_.ring_directory.clear();
  Open();
  const std::string before = sink_->ring_path();
  Block();
  Log("waits");
  WaitForFallback();
  Unblock();
  WaitForReturn();
  EXPECT_NE(sink_->ring_path(), before);
  EXPECT_THAT(FilesIn(options_.directory, ".ring"),
              ElementsAre(sink_->ring_path()));
  Log("new");
  ASSERT_TRUE(sink_->Close().ok());
  std::vector<std::string> texts;
  for (const std::string& directory : Directories()) {
    for (const std::string& text : TextsIn(directory)) texts.push_back(text);
  }
  EXPECT_THAT(texts, UnorderedElementsAre("waits", "new"));
  EXPECT_THAT(TextsIn(options_.directory), Contains("new"));
}

// One ring with records does not prevent the deletion of the other.
TEST_F(FallbackTest, FailedCloseKeepsOnlyItsRing) {
  // Logs while Close() closes the fallback segment. The record must not be
  // dropped.
  options_.on_segment_closed = [this](const std::string&) {
    LOG(INFO).ToSinkOnly(sink_.get()) << "meanwhile";
  };
  Open();
  Block();
  Log("waits");
  WaitForFallback();
  Log("elsewhere");
  EXPECT_THAT(Rings(), SizeIs(2));
  EXPECT_FALSE(sink_->Close().ok());
  EXPECT_THAT(Rings(), SizeIs(1));
  // The remaining ring accepts records.
  Log("late");
  EXPECT_EQ(sink_->counters().dropped_records, 0u);
  sink_.reset();
  EXPECT_THAT(TextsIn(options_.fallback_directory), ElementsAre("elsewhere"));
  Unblock();
  std::filesystem::create_directory(options_.directory);
  EXPECT_THAT(
      RecoverLeftovers(options_.ring_directory, options_.directory).errors,
      IsEmpty());
  EXPECT_THAT(TextsIn(options_.directory),
              ElementsAre("waits", "meanwhile", "late"));
  EXPECT_THAT(Rings(), IsEmpty());
}

// The sink closes while the fallback log is being created, or directly after.
TEST_F(FallbackTest, CloseDuringFailOverLosesNothing) {
  for (uint64_t i = 0; i < 20; ++i) {
    Open();
    Block();
    Log("waits");
    WaitUntil([&] {
      return sink_->counters().write_errors >=
             uint64_t{FailoverLog::kErrorsToSwitch} - 1 + i % 2;
    });
    EXPECT_FALSE(sink_->Close().ok());
    sink_.reset();
    EXPECT_THAT(Rings(), SizeIs(1)) << i;
    Unblock();
    std::filesystem::create_directory(options_.directory);
    RecoverLeftovers(options_.ring_directory, options_.directory);
    EXPECT_THAT(TextsIn(options_.directory), ElementsAre("waits"));
  }
}

bool IsSegment(int fd) {
  char path[4096];
  const ssize_t size =
      readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof path);
  return size > 0 && absl::EndsWith({path, static_cast<size_t>(size)}, ".zst");
}

}  // namespace

bool FailsNow(int fd) {
  if (g_failures_of_pwrite == 0 || !IsSegment(fd)) return false;
  --g_failures_of_pwrite;
  return true;
}

}  // namespace ringlog

extern "C" ssize_t pwrite(int fd, const void* buf, size_t n, off_t offset) {
  if (ringlog::FailsNow(fd)) {
    errno = ENOSPC;
    return -1;
  }
  return syscall(SYS_pwrite64, fd, buf, n, offset);
}
