// Programs whose log directory is moved, replaced or deleted while they log, so
// that no later start finds their ring.
//
// Invariants checked:
//   - New records go to a ring that the next start finds.
//   - Each record is once in the moved directory or in the new one.
//   - The loss is reported once, with both rings.
//
// Oracle: the texts that the test logs, libzstd, and the decoder.

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fallback_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class LostRingTest : public FallbackFixture {
 protected:
  // The ring is in the directory of the segments, as by default.
  LostRingTest() {
    options_.ring_directory.clear();
    options_.fallback_directory.clear();
    options_.ring_bytes = 64 << 10;
  }

  // Moves the directory. Requires: Flush() was called. Then the flusher looks
  // for its ring only when the next segment begins, or after seconds.
  void Move() const {
    std::filesystem::rename(options_.directory, moved_);
    std::filesystem::create_directory(options_.directory);
  }
  // Logs a record that begins a segment, so that the flusher looks for its
  // ring, and waits for the new ring.
  void LogUntilRingIsReplaced() {
    const std::string before = sink_->ring_path();
    ASSERT_TRUE(sink_->Rotate().ok());
    Log("noticed");
    WaitUntil([&] { return sink_->ring_path() != before; });
  }
  std::vector<std::string> AllTexts() const {
    const Decoded decoded = DecodeAll({moved_, options_.directory});
    EXPECT_EQ(decoded.result.exit_status(), 0);
    return decoded.texts;
  }

  const std::string moved_ = base_ + "/old";
};

TEST_F(LostRingTest, KillAfterMoveOfDirectoryLosesNothing) {
  std::string err;
  const int status = RunChild(
      [this] {
        Open();
        Log("before");
        sink_->Flush();
        Move();
        Log("moved");
        LogUntilRingIsReplaced();
        Log("after");
        raise(SIGKILL);
      },
      &err);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(AllTexts(), ElementsAre("before", "moved", "noticed", "after"));
  const std::vector<std::string> rings = FilesIn(options_.directory, ".ring");
  ASSERT_THAT(rings, SizeIs(1));
  EXPECT_THAT(err, AllOf(HasSubstr(" was deleted, moved or replaced"),
                         HasSubstr("new records go to " + rings[0])));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  // The next start finds the ring.
  ASSERT_EQ(RunChild([this] {
              if (!Install(options_).ok()) _exit(100);
            }),
            0);
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("after"));
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), IsEmpty());
  EXPECT_THAT(AllTexts(), ElementsAre("before", "moved", "noticed", "after"));
}

TEST_F(LostRingTest, ChangedSymlinkReplacesRing) {
  const std::string other = base_ + "/other";
  std::filesystem::create_directory(moved_);
  std::filesystem::create_directory(other);
  std::filesystem::create_directory_symlink(moved_, options_.directory);
  Open();
  Log("before");
  sink_->Flush();
  const std::string link = base_ + "/link";
  std::filesystem::create_directory_symlink(other, link);
  std::filesystem::rename(link, options_.directory);
  LogUntilRingIsReplaced();
  EXPECT_THAT(FilesIn(other, ".ring"), SizeIs(1));
  Log("after");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(TextsIn(moved_), ElementsAre("before", "noticed"));
  EXPECT_THAT(TextsIn(other), ElementsAre("after"));
}

TEST_F(LostRingTest, DeletedRingIsReplaced) {
  Open();
  Log("before");
  sink_->Flush();
  std::filesystem::remove(sink_->ring_path());
  LogUntilRingIsReplaced();
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), SizeIs(1));
  Log("after");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(TextsIn(options_.directory),
              UnorderedElementsAre("before", "noticed", "after"));
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), IsEmpty());
}

// The flusher notices the loss before the next segment begins.
TEST_F(LostRingTest, IdleProcessNoticesLossWithinSeconds) {
  Open();
  const std::string before = sink_->ring_path();
  // This takes longer than the flusher's first search for its ring.
  Log("before");
  WaitUntilWritten(1);
  Move();
  WaitUntil([&] { return sink_->ring_path() != before; });
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), SizeIs(1));
}

// A replaced ring must not stay in the moved directory, where its lock would
// show a live process.
TEST_F(LostRingTest, ReplacedRingIsEmptiedAndDeleted) {
  Open();
  Log("before");
  sink_->Flush();
  Move();
  LogUntilRingIsReplaced();
  WaitUntil([this] { return FilesIn(moved_, ".ring").empty(); });
  EXPECT_THAT(TextsIn(moved_), ElementsAre("before", "noticed"));
  for (const std::string& segment : FilesIn(moved_, ".zst")) {
    EXPECT_TRUE(IsClosed(segment)) << segment;
  }
  const RingLogSinkCounters counters = sink_->counters();
  EXPECT_EQ(counters.written_records, 2u);
  EXPECT_EQ(counters.used_slots, 0u);
  // Calls that wait for all records still succeed.
  sink_->Flush();
  EXPECT_TRUE(sink_->Rotate().ok());
}

// The records stay in the ring until the ring is at its path again.
TEST_F(LostRingTest, MissingParentLosesNothingAndIsReportedOnce) {
  std::string err;
  const std::string parent = base_ + "/parent";
  options_.directory = parent + "/logs";
  std::filesystem::create_directory(parent);
  ASSERT_EQ(RunChild(
                [&] {
                  Open();
                  Log("before");
                  sink_->Flush();
                  std::filesystem::rename(parent, moved_);
                  if (!sink_->Rotate().ok()) _exit(1);
                  Log("waits");
                  WaitUntil([&] { return sink_->counters().write_errors > 3; });
                  std::filesystem::rename(moved_, parent);
                  if (!sink_->Close().ok()) _exit(2);
                },
                &err),
            0);
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("before", "waits"));
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), IsEmpty());
  const std::string loss = " was deleted, moved or replaced: records do not ";
  const size_t at = err.find(loss);
  ASSERT_NE(at, std::string::npos) << err;
  EXPECT_EQ(err.find(loss, at + 1), std::string::npos) << err;
  EXPECT_THAT(err, HasSubstr("create another ring: make directory"));
}

TEST_F(LostRingTest, ForkedChildLogsToNewDirectory) {
  ASSERT_EQ(RunChild([this] {
              Open();
              Log("before");
              sink_->Flush();
              Move();
              LogUntilRingIsReplaced();
              if (AwaitChild(StartChild([this] {
                    Log("child");
                    if (!sink_->Close().ok()) _exit(1);
                  })) != 0) {
                _exit(101);
              }
              if (!sink_->Close().ok()) _exit(102);
            }),
            0);
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("child"));
}

// Threads log without pause while the directory is moved. Some of them append
// to the old ring after it was replaced.
TEST_F(LostRingTest, MoveUnderLoadKeepsEachRecordOnce) {
  options_.ring_bytes = 4 << 20;
  options_.overflow = OverflowPolicy::kBlock;
  options_.block_deadline = absl::Minutes(10);
  Open();
  constexpr int kThreads = 3;
  std::atomic<bool> stop{false};
  std::atomic<int> logged{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (!stop) Log(absl::StrCat("record ", logged++));
    });
  }
  WaitUntil([&] { return logged > 2000; });
  sink_->Flush();
  Move();
  LogUntilRingIsReplaced();
  const int until = logged + 2000;
  WaitUntil([&] { return logged > until; });
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_EQ(sink_->counters().dropped_records, 0u);
  std::map<std::string, int> times;
  for (const std::string& text : AllTexts()) ++times[text];
  EXPECT_THAT(times, SizeIs(static_cast<size_t>(logged) + 1));
  for (int i = 0; i < logged; ++i) {
    ASSERT_EQ(times[absl::StrCat("record ", i)], 1) << i;
  }
}

}  // namespace
}  // namespace ringlog
