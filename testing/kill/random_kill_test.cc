// Kills a program with SIGKILL at random moments, again and again in the same
// directory, so that kills also hit the recovery of the leftovers of earlier
// kills. Some processes die of a signal that Abseil's handler reports, or are
// killed while it reports. In some directories retention deletes old segments.
//
// Invariants checked:
//   - Each acknowledged record is in the log once, complete and in order.
//   - A crash report is the last record of its process, and has all bytes whose
//     write returned.
//   - A segment that was reported as closed does not change.
//   - Retention deletes only the oldest segments.
//
// Oracle: a page that parent and child share (killed_life.h), and libzstd.
// Prints its seed.

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/shared_page.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/testing/kill/deletion_oracle.h"
#include "ringlog/testing/kill/killed_life.h"
#include "ringlog/testing/kill/killed_log.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr uint64_t kKills = 200;  // each fork copies the shadow memory
#else
constexpr uint64_t kKills = 2000;
#endif
constexpr uint64_t kKillsInLongMode = 100000;
constexpr uint64_t kLivesPerDirectory = 10;
// Average number of lives for each life that ends with a report, and of
// directories for each directory with retention limits.
constexpr uint64_t kLivesPerReport = 8;
constexpr uint64_t kDirectoriesPerLimited = 4;

using Lives = std::array<KilledLife, kLivesPerDirectory>;

// Number of kills that hit each activity of a process.
struct Caught {
  uint64_t before_the_first_record = 0;
  uint64_t recovery = 0;
  uint64_t half_written_record = 0;
  uint64_t open_frame = 0;
  uint64_t rotation = 0;
  uint64_t half_written_report = 0;
  uint64_t deletion = 0;
};

class RandomKillTest : public ::testing::Test {
 protected:
  void NewDirectory() {
    directory_ = MakeTestDirectory();
    lives_.emplace();
    deletions_.emplace(directory_);
    retention_ = RetentionOptions();
    if (random_() % kDirectoriesPerLimited != 0) return;
    if (random_() % 2 == 0) {
      retention_.max_files = 2 + random_() % 3;
    } else {
      // Leaves room for the ring and a segment.
      retention_.max_bytes = (144 << 10) + random_() % (64 << 10);
    }
  }

  LifePlan Plan(uint64_t number) {
    LifePlan plan;
    plan.directory = directory_;
    plan.number = number;
    plan.threads = 1 + random_() % KilledLife::kMaxThreads;
    plan.retention = retention_;
    if (random_() % kLivesPerReport == 0) {
      plan.signal = random_() % 2 == 0 ? SIGSEGV : SIGABRT;
      plan.records_before_signal = random_() % 32;
      // A report has some hundred bytes.
      if (random_() % 2 == 0) plan.awaited_report_bytes = 1 + random_() % 512;
    }
    return plan;
  }

  void LiveAndDie(uint64_t number) {
    const std::vector<std::string> leftovers = FilesIn(directory_, ".ring");
    KilledLife* const life = &(**lives_)[number];
    const LifePlan plan = Plan(number);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Live(plan, life);
    if (plan.signal == 0) {
      KillAtAnyMoment(child, *life);
    } else if (plan.awaited_report_bytes != 0) {
      KillInReport(child, plan.awaited_report_bytes, life);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    if (WTERMSIG(status) != SIGKILL) {
      ASSERT_EQ(WTERMSIG(status), plan.signal);
      ASSERT_TRUE(life->reporter != 0 && life->is_reported);
    }
    if (life->is_installing && !life->has_recovered && !leftovers.empty()) {
      ++caught_.recovery;
    }
    ClassifyDeath(leftovers, *life);
    if (life->reporter != 0) CheckReport(child, *life);
    deletions_->Update();
    if (deletions_->segment_count() > retention_.max_files &&
        retention_.max_files != 0) {
      ++caught_.deletion;
    }
  }

  // Kills half of the processes during start and recovery, the others while
  // they log. If the directory has limits, waits for the end of the recovery,
  // because retention starts after it.
  void KillAtAnyMoment(pid_t child, const KilledLife& life) {
    if (random_() % 2 == 0) {
      AwaitConditionOrDeath(child, [this, &life] {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        return retention_.has_limit() ? life.has_recovered.load()
                                      : life.acknowledged_records() != 0;
      });
    }
    const uint64_t max_wait_us = uint64_t{1} << (8 + random_() % 8);
    std::this_thread::sleep_for(
        std::chrono::microseconds(random_() % max_wait_us));
    kill(child, SIGKILL);
  }

  // Kills the process while the signal handler writes its report.
  static void KillInReport(pid_t child, size_t begun_bytes, KilledLife* life) {
    AwaitConditionOrDeath(child, [life, begun_bytes] {
      sched_yield();
      return life->begun_bytes >= begun_bytes;
    });
    life->may_continue = true;
    kill(child, SIGKILL);
  }

  // Waits until `condition` holds or the process has ended. Does not reap the
  // process.
  template <typename Condition>
  static void AwaitConditionOrDeath(pid_t child, Condition condition) {
    siginfo_t info = {};
    while (!condition() && info.si_pid == 0) {
      ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info,
                       WEXITED | WNOHANG | WNOWAIT),
                0);
    }
  }

  void ClassifyDeath(const std::vector<std::string>& leftovers,
                     const KilledLife& life) {
    if (life.acknowledged_records() == 0) ++caught_.before_the_first_record;
    for (const std::string& path : FilesIn(directory_, ".ring")) {
      if (std::find(leftovers.begin(), leftovers.end(), path) !=
          leftovers.end()) {
        continue;
      }
      const std::string bytes = ReadFile(path);
      const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
      ASSERT_TRUE(ring.ok()) << ring.status();
      if (ring->slots.filling > 0) ++caught_.half_written_record;
      const auto cursor = DecodeSegmentCursor(ring->cursor);
      if (!cursor.ok() || cursor->segment_number == 0) continue;
      if (cursor->frame_offset < cursor->segment_bytes) ++caught_.open_frame;
      if (cursor->names_unstarted_segment()) ++caught_.rotation;
    }
  }

  void CheckReport(pid_t child, const KilledLife& life) {
    if (life.is_reported) {
      ++reports_;
    } else if (life.begun_bytes != 0) {
      ++caught_.half_written_report;
    }
    std::vector<std::string> paths;
    for (const std::string& path : FilesIn(directory_, "")) {
      // Leaves out an empty segment, which the process has just created.
      if (absl::StrContains(path, absl::StrCat(".", child, ".")) &&
          !std::filesystem::is_empty(path)) {
        paths.push_back(path);
      }
    }
    ExpectReportIsLast(paths, life);
  }

  // Checks all records of all lives of the directory.
  void ExpectAllRecovered() {
    const RecoveredLeftovers recovery =
        RecoverLeftovers(directory_, directory_);
    ASSERT_THAT(recovery.errors, IsEmpty());
    ASSERT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
    ExpectLivesRecovered(directory_, **lives_, retention_.has_limit());
    for (const KilledLife& life : **lives_) {
      records_ += life.acknowledged_records();
      closed_ += life.closed_segments.count();
      life.closed_segments.ExpectUnchanged(retention_.has_limit());
    }
    deletions_->Update();
    deletions_->ExpectOldestFirst();
    if (!retention_.has_limit()) {
      EXPECT_EQ(deletions_->deleted_count(), 0u);
    }
    deleted_ += deletions_->deleted_count();
  }

  void Report(uint64_t kills, double seconds) const {
    std::cout << kills << " kills, " << static_cast<double>(kills) / seconds
              << " a second; " << records_
              << " records acknowledged and found, except in " << deleted_
              << " deleted segments; " << closed_
              << " segments closed and unchanged; " << reports_
              << " crash reports. Kills at: recovery " << caught_.recovery
              << ", a half-written record " << caught_.half_written_record
              << ", an open frame " << caught_.open_frame << ", a rotation "
              << caught_.rotation << ", a half-written report "
              << caught_.half_written_report << ", a deletion "
              << caught_.deletion << ", before the first record "
              << caught_.before_the_first_record << std::endl;
  }

  std::mt19937_64 random_{TestSeed()};
  std::string directory_;
  RetentionOptions retention_;
  std::optional<SharedPage<Lives>> lives_;
  std::optional<DeletionOracle> deletions_;
  uint64_t records_ = 0;
  uint64_t reports_ = 0;
  uint64_t deleted_ = 0;
  uint64_t closed_ = 0;
  Caught caught_;
};

TEST_F(RandomKillTest, LosesAndDoublesNoRecord) {
  const uint64_t kills = Repetitions(kKills, kKillsInLongMode);
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t kill = 0; kill < kills; kill += kLivesPerDirectory) {
    NewDirectory();
    for (uint64_t life = 0; life < kLivesPerDirectory; ++life) {
      LiveAndDie(life);
      ASSERT_FALSE(HasFailure()) << "life " << life << " in " << directory_;
    }
    ExpectAllRecovered();
    // If the test fails, the directory stays for inspection.
    ASSERT_FALSE(HasFailure())
        << "before kill " << kill + kLivesPerDirectory << " in " << directory_;
    std::filesystem::remove_all(directory_);
  }
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - begin;
  Report(kills, seconds.count());
  // The kills must hit each vulnerable activity. A short run may miss some.
  if (kills < 2000) return;
  EXPECT_GT(caught_.recovery, 0u);
  EXPECT_GT(caught_.half_written_record, 0u);
  EXPECT_GT(caught_.open_frame, 0u);
  EXPECT_GT(caught_.rotation, 0u);
  EXPECT_GT(caught_.half_written_report, 0u);
  EXPECT_GT(reports_, 0u);
  EXPECT_GT(caught_.deletion, 0u);
  EXPECT_GT(deleted_, 0u);
  EXPECT_GT(closed_, 0u);
}

}  // namespace
}  // namespace ringlog
