// Invariants checked: an error of a recovery is reported once, the recovery is
// tried again, and neither an error nor the lack of memory or threads ends the
// process.

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/recovery/background_recovery_test_fixture.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/failing_allocations.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kRetry = absl::Minutes(10);
constexpr absl::Duration kMoment = absl::Nanoseconds(1);

using BackgroundRecoveryFaultTest = BackgroundRecoveryFixture;

// A second process makes the later attempts, because a process writes at most
// one line a minute to stderr.
TEST_F(BackgroundRecoveryFaultTest, FailureIsReportedOnceAndRetried) {
  const std::string left = LeaveRing("record");
  BackgroundRecovery recovery(RecoveryOptions());
  const auto tries_at = [&](absl::Duration now) {
    const int before = g_attempts;
    RunRound(&recovery, now);
    return g_attempts != before;
  };
  const absl::Duration second = kBegin + kRetry + kInterval;
  const auto second_process = [&] {
    if (!tries_at(second)) _exit(4);
    if (tries_at(second + kRetry - kMoment)) _exit(5);
    g_is_stuck = false;
    if (RunRound(&recovery, kBegin + 3 * kRetry) != 1) _exit(6);
  };
  const auto first_process = [&] {
    g_is_stuck = true;
    if (!tries_at(kBegin)) _exit(1);
    if (tries_at(kBegin + kInterval)) _exit(2);
    if (tries_at(kBegin + kRetry - kMoment)) _exit(3);
    _exit(WEXITSTATUS(AwaitChild(StartChild(second_process))));
  };
  std::string err;
  EXPECT_EQ(RunChild(first_process, &err), 0);
  EXPECT_THAT(err, HasSubstr("cannot recover leftover rings: "));
  EXPECT_THAT(err, HasSubstr(absl::StrCat("delete ", left)));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

// Runs a round in a new process, and a second round in a child of that process.
// Returns the stderr of both.
std::string ReportOfTwoRounds(const BackgroundRecovery::Options& options,
                              uint64_t (*run_round)(BackgroundRecovery*,
                                                    absl::Duration)) {
  std::string err;
  EXPECT_EQ(RunChild(
                [&] {
                  BackgroundRecovery recovery(options);
                  if (run_round(&recovery, kBegin) != 0) _exit(1);
                  const int status = AwaitChild(StartChild([&] {
                    if (run_round(&recovery, kBegin + kRetry) != 0) _exit(2);
                  }));
                  _exit(WEXITSTATUS(status));
                },
                &err),
            0);
  return err;
}

TEST_F(BackgroundRecoveryFaultTest, UnreadableRingIsReportedOnce) {
  const std::string left = LeaveRing("record");
  WriteFile(left, "no ring");
  const std::string err = ReportOfTwoRounds(RecoveryOptions(), &RunRound);
  EXPECT_THAT(err, HasSubstr(absl::StrCat("leftover rings: ", left)));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_TRUE(Exists(left));
}

TEST_F(BackgroundRecoveryFaultTest, UnreadableDirectoryIsReportedOnce) {
  const std::string file = MakeTestDirectory() + "/file";
  WriteFile(file, "");
  BackgroundRecovery::Options options = RecoveryOptions();
  options.directories = {{directory_, file}};
  const std::string err = ReportOfTwoRounds(options, &RunRound);
  EXPECT_THAT(err, HasSubstr(absl::StrCat("leftover rings: open ", file)));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

// The error is ENOENT, as if another process had recovered the ring.
TEST_F(BackgroundRecoveryFaultTest, MissingSegmentDirectoryIsReported) {
  const std::string shared = MakeTestDirectory();
  const std::string gone = MakeTestDirectory() + "/gone";
  AwaitChild(StartChild([&] {
    RingOptions options;
    options.slot_count = 64;
    options.program = "program";
    options.segment_directory = gone;
    ring_ = *Ring::CreateIn(shared, RingFileName, options);
    Append("record");
    raise(SIGKILL);
  }));
  BackgroundRecovery::Options options = RecoveryOptions();
  options.directories = {{gone, shared}};
  const std::string err = ReportOfTwoRounds(options, &RunRound);
  EXPECT_THAT(err, HasSubstr("cannot recover leftover rings: "));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_EQ(FilesIn(shared, ".ring").size(), 1u);
}

TEST_F(BackgroundRecoveryFaultTest, MissingDirectoryIsEmpty) {
  BackgroundRecovery::Options options = RecoveryOptions();
  options.directories = {{"/nonexistent", "/nonexistent/rings"}};
  EXPECT_EQ(ReportOfTwoRounds(options, &RunRound), "");
}

// Lets the calling process allocate at most `bytes` more.
void LimitMemory(uint64_t bytes) {
  uint64_t pages = 0;
  std::ifstream statm("/proc/self/statm");
  if (!(statm >> pages)) _exit(100);
  const rlim_t max_bytes =
      pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + bytes;
  const rlimit limit = {max_bytes, max_bytes};
  if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(101);
}

TEST_F(BackgroundRecoveryFaultTest, RingLargerThanMemoryIsRecovered) {
  if (kHasSanitizer) GTEST_SKIP() << "the sanitizer needs the memory";
  AwaitChild(StartChild([&] {
    MakeRing(uint64_t{1} << 17);  // 64 MiB
    Append("record");
    raise(SIGKILL);
  }));
  std::string err;
  EXPECT_EQ(RunChild(
                [&] {
                  // Otherwise the C library reserves an arena for the thread.
                  mallopt(M_ARENA_MAX, 1);
                  LimitMemory(uint64_t{32} << 20);
                  BackgroundRecovery recovery(RecoveryOptions());
                  if (RunRound(&recovery, kBegin) != 1) _exit(1);
                },
                &err),
            0);
  EXPECT_EQ(err, "");
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

// Makes Abseil's table of error texts, which takes a hundred allocations once.
// Otherwise the test would not reach the allocations after these.
void MakeErrorTexts() { EXPECT_FALSE(absl::ErrnoToStatus(ENOENT, "").ok()); }

// In turn, each allocation of the thread fails together with all later ones:
// those of the search for leftovers, of a recovery and of the report.
TEST_F(BackgroundRecoveryFaultTest, LackOfMemoryDoesNotEndProcess) {
#ifndef ABSL_HAVE_EXCEPTIONS
  GTEST_SKIP() << "without exceptions, a lack of memory ends the process";
#endif
  LeaveRing("record");
  MakeErrorTexts();
  for (int allocations = 0; !Rings().empty(); ++allocations) {
    BackgroundRecovery recovery(RecoveryOptions());
    FailAllocationsAfter(allocations);
    RunRound(&recovery, kBegin);
    FailAllocationsAfter(kNoFailure);
    EXPECT_EQ(recovery.progress().ended_rounds, 1u);
    // A begun segment that stays would take room on a full disk.
    EXPECT_THAT(FilesIn(directory_, ".tmp"), IsEmpty()) << allocations;
    ASSERT_LT(allocations, 1000000);
  }
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

// Each allocation fails in turn while the system refuses to delete files: a
// recovery that ends early cannot delete the segment that it began.
TEST_F(BackgroundRecoveryFaultTest, LackOfMemoryInCleanUpDoesNotEndProcess) {
#ifndef ABSL_HAVE_EXCEPTIONS
  GTEST_SKIP() << "without exceptions, a lack of memory ends the process";
#endif
  LeaveRing("record");
  MakeErrorTexts();
  const int before = g_attempts;
  for (int allocations = 0; g_attempts == before; ++allocations) {
    BackgroundRecovery recovery(RecoveryOptions());
    g_is_stuck = true;
    FailAllocationsAfter(allocations);
    RunRound(&recovery, kBegin);
    FailAllocationsAfter(kNoFailure);
    g_is_stuck = false;
    for (const std::string& begun : FilesIn(directory_, ".tmp")) {
      ASSERT_EQ(unlink(begun.c_str()), 0);
    }
    ASSERT_LT(allocations, 10000);
  }
}

// The first ring is damaged. While the round recovers the second one, each
// allocation fails in turn. If the process lacks the memory to report the
// damage, its child does so.
TEST_F(BackgroundRecoveryFaultTest, ErrorBeforeLackOfMemoryIsReported) {
#ifndef ABSL_HAVE_EXCEPTIONS
  GTEST_SKIP() << "without exceptions, a lack of memory ends the process";
#endif
  const std::string damaged =
      absl::StrCat(directory_, "/a.host.20261124-034019.4194304.5f3a9c1b.ring");
  WriteFile(damaged, "no ring");
  bool is_recovered = false;
  for (int allocations = 0; !is_recovered;
       allocations += 1 + allocations / 16) {
    LeaveRing("record");
    std::string err;
    const int status = RunChild(
        [&] {
          BackgroundRecovery recovery(RecoveryOptions());
          FailAllocationsAfter(allocations);
          const uint64_t recovered = RunRound(&recovery, kBegin);
          FailAllocationsAfter(kNoFailure);
          const int second = AwaitChild(
              StartChild([&] { RunRound(&recovery, kBegin + kInterval); }));
          _exit(second != 0 ? 2 : recovered == 0 ? 0 : 1);
        },
        &err);
    ASSERT_TRUE(WIFEXITED(status)) << status;
    ASSERT_LE(WEXITSTATUS(status), 1);
    is_recovered = WEXITSTATUS(status) == 1;
    EXPECT_THAT(err, HasSubstr(damaged)) << allocations;
    ASSERT_LT(allocations, 10000);
  }
}

// Attack: another user makes any number of files with names of rings. The test
// needs no other user, because it uses FIFOs.
TEST_F(BackgroundRecoveryFaultTest, ForeignRingsAreCountedAndReportedOnce) {
  for (const char* id :
       {"5f3a9c1b.ring", "5f3a9c1c.ring.tmp", "5f3a9c1d.ring"}) {
    const std::string path =
        absl::StrCat(directory_, "/program.host.20261124-034019.4194304.", id);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  }
  const absl::StatusOr<Leftovers> found = FindLeftovers(directory_, directory_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->paths, IsEmpty());
  EXPECT_EQ(found->foreign_count, 3u);
  const std::string err = ReportOfTwoRounds(RecoveryOptions(), &RunRound);
  EXPECT_THAT(err, HasSubstr("not a regular file; and 2 more; the files stay"));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

// Two users may log into one directory. A FIFO simulates the ring of the other
// user's process. Its name has the id of this process, and the rounds run in
// children.
TEST_F(BackgroundRecoveryFaultTest, ForeignRingOfLivingProcessIsNotReported) {
  const std::string path = absl::StrCat(
      directory_, "/program.host.20261124-034019.", getpid(), ".5f3a9c1b.ring");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ReportOfTwoRounds(RecoveryOptions(), &RunRound), "");
}

// Retention waits for the first round, and must not wait forever.
TEST_F(BackgroundRecoveryFaultTest, RoundWithoutThreadCountsAsEnded) {
  if (kHasSanitizer) GTEST_SKIP() << "the sanitizer needs the memory";
  const std::string left = LeaveRing("record");
  std::string err;
  EXPECT_EQ(RunChild(
                [&] {
                  BackgroundRecovery recovery(RecoveryOptions());
                  LimitMemory(0);
                  // Uses up the stacks that the C library keeps.
                  pthread_t thread;
                  const auto wait = [](void*) -> void* {
                    for (;;) pause();
                  };
                  while (pthread_create(&thread, nullptr, wait, nullptr) == 0) {
                  }
                  for (int i = 0; i < 3; ++i) {
                    recovery.StartRoundIfDue(kBegin + i * kInterval);
                    const auto progress = recovery.progress();
                    if (progress.is_running) _exit(1);
                    if (progress.ended_rounds != static_cast<uint64_t>(i + 1)) {
                      _exit(2);
                    }
                  }
                  if (!recovery.AwaitFirstRound(absl::ZeroDuration())) _exit(3);
                  _exit(0);
                },
                &err),
            0);
  EXPECT_THAT(err, HasSubstr("start thread ringlog-recover"));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_TRUE(Exists(left));
}

}  // namespace
}  // namespace ringlog
