// Invariants checked:
//   - the records of leftover rings get into segments, each record once
//   - a ring that is in use is not changed
//   - there is one round at a time, at most one in each interval
//   - a round may outlive its BackgroundRecovery, and the process may end
//     during a round

#include "ringlog/compress/recovery/background_recovery.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kMoment = absl::Nanoseconds(1);

using BackgroundRecoveryTest = BackgroundRecoveryFixture;

TEST_F(BackgroundRecoveryTest, RunsOneRoundPerInterval) {
  BackgroundRecovery recovery(RecoveryOptions());
  const std::string first = LeaveRing("first");
  EXPECT_EQ(RunRound(&recovery, kBegin), 1u);
  EXPECT_FALSE(Exists(first));
  const std::string second = LeaveRing("second");
  EXPECT_EQ(RunRound(&recovery, kBegin + kInterval - kMoment), 0u);
  EXPECT_TRUE(Exists(second));
  EXPECT_EQ(RunRound(&recovery, kBegin + kInterval), 1u);
  EXPECT_FALSE(Exists(second));
  EXPECT_EQ(RunRound(&recovery, kBegin + 2 * kInterval), 0u);
  EXPECT_EQ(recovery.progress().ended_rounds, 3u);
  EXPECT_THAT(Texts(), UnorderedElementsAre("first", "second"));
}

TEST_F(BackgroundRecoveryTest, FirstRoundCanWaitForInterval) {
  BackgroundRecovery::Options options = RecoveryOptions();
  options.first_round = BackgroundRecovery::FirstRound::kAfterInterval;
  BackgroundRecovery recovery(options);
  const std::string left = LeaveRing("record");
  EXPECT_FALSE(recovery.progress().is_running);
  EXPECT_TRUE(recovery.AwaitFirstRound(absl::ZeroDuration()));
  EXPECT_EQ(RunRound(&recovery, kBegin), 0u);
  EXPECT_EQ(RunRound(&recovery, kBegin + kInterval - kMoment), 0u);
  EXPECT_TRUE(Exists(left));
  EXPECT_EQ(RunRound(&recovery, kBegin + kInterval), 1u);
  EXPECT_FALSE(Exists(left));
}

TEST_F(BackgroundRecoveryTest, InfiniteIntervalHasOnlyFirstRound) {
  BackgroundRecovery::Options options = RecoveryOptions();
  options.interval = absl::InfiniteDuration();
  BackgroundRecovery with_first(options);
  options.first_round = BackgroundRecovery::FirstRound::kAfterInterval;
  BackgroundRecovery without(options);
  LeaveRing("first");
  EXPECT_EQ(RunRound(&with_first, kBegin), 1u);
  const std::string second = LeaveRing("second");
  for (BackgroundRecovery* recovery : {&with_first, &without}) {
    EXPECT_EQ(RunRound(recovery, kBegin + 1000 * kInterval), 0u);
  }
  EXPECT_TRUE(Exists(second));
}

TEST_F(BackgroundRecoveryTest, AwaitFirstRoundWaitsForItsEnd) {
  Gate gate;
  BackgroundRecovery recovery(RecoveryOptions());
  LeaveRing("record");
  EXPECT_TRUE(recovery.progress().is_running)
      << "the first round is due at once";
  EXPECT_FALSE(recovery.AwaitFirstRound(absl::ZeroDuration()));
  g_gate = &gate;
  recovery.StartRoundIfDue(kBegin);
  gate.has_come.Await();
  EXPECT_FALSE(recovery.AwaitFirstRound(absl::Milliseconds(10)));
  g_gate = nullptr;
  gate.may_go_on.Send();
  EXPECT_TRUE(recovery.AwaitFirstRound(kLong));
  EXPECT_THAT(Rings(), IsEmpty());
  gate.has_deleted.Await();
}

// Creates the ring of a dead process in `directory`, whose segments are in
// `segments`, and returns its path.
std::string MakeLeftover(const std::string& directory,
                         const std::string& segments) {
  RingOptions options;
  options.slot_count = 2;
  options.program = "program";
  options.segment_directory = segments;
  auto ring = Ring::CreateIn(directory, RingFileName, options);
  return ring.ok() ? (*ring)->path() : "";
}

TEST_F(BackgroundRecoveryTest, RingsInUseAndRingsOfOtherDirectoriesStay) {
  const std::string shared = MakeTestDirectory();
  Signal is_ready, may_end;
  const pid_t child = StartChild([&] {
    MakeRing(64);
    is_ready.Send();
    may_end.Await();
    _exit(0);
  });
  is_ready.Await();
  std::vector<std::string> stay = Rings();
  MakeRing(64);
  stay.push_back(ring_->path());
  stay.push_back(LeaveRing("unreadable"));
  WriteFile(stay.back(), "no ring");
  stay.push_back(MakeLeftover(shared, ""));
  stay.push_back(MakeLeftover(shared, "/somewhere/else"));
  const std::string left = MakeLeftover(shared, directory_);

  BackgroundRecovery::Options options = RecoveryOptions();
  options.directories = {{directory_, shared}};
  BackgroundRecovery recovery(options);
  EXPECT_EQ(RunRound(&recovery, kBegin), 1u);
  EXPECT_FALSE(Exists(left));
  for (int i = 1; i < 3; ++i) {
    EXPECT_EQ(RunRound(&recovery, kBegin + i * kInterval), 0u);
  }
  for (const std::string& path : stay) EXPECT_TRUE(Exists(path)) << path;
  may_end.Send();
  EXPECT_EQ(AwaitChild(child), 0);
}

// A sink with a fallback_directory has two pairs of directories.
TEST_F(BackgroundRecoveryTest, EachDirectoryGetsItsOwnRings) {
  const std::string rings = MakeTestDirectory();
  const std::string fallback = MakeTestDirectory();
  MakeLeftover(rings, directory_);
  MakeLeftover(rings, fallback);
  MakeLeftover(fallback, "");
  LeaveRing("record");
  BackgroundRecovery::Options options = RecoveryOptions();
  options.directories = {{directory_, rings}, {fallback, rings}};
  BackgroundRecovery recovery(options);
  EXPECT_EQ(RunRound(&recovery, kBegin), 4u);
  for (const std::string& directory : {directory_, rings, fallback}) {
    EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
  }
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

// A program may close all its descriptors. Then the mapping keeps the lock on
// Linux, so this test also removes the lock.
TEST_F(BackgroundRecoveryTest, UnlockedRingOfLivingProcessStays) {
  EXPECT_EQ(RunChild([&] {
              MakeRing(64);
              struct stat ring;
              if (stat(ring_->path().c_str(), &ring) != 0) _exit(1);
              for (int fd = 3; fd < 1000; ++fd) {
                struct stat st;
                if (fstat(fd, &st) != 0 || st.st_ino != ring.st_ino) continue;
                UnlockFile(fd);
                close(fd);
              }
              BackgroundRecovery recovery(RecoveryOptions());
              if (RunRound(&recovery, kBegin) != 0) _exit(2);
              _exit(Exists(ring_->path()) ? 0 : 3);
            }),
            0);
}

// The program after exec(2) has the process id and start time of the program
// that logged.
TEST_F(BackgroundRecoveryTest, RingFromBeforeExecIsRecovered) {
  Signal is_ready, may_end;
  const pid_t child = StartChild([&] {
    MakeRing(64);
    Append("before exec");
    dup2(may_end.read_fd(), STDIN_FILENO);
    dup2(is_ready.write_fd(), STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", "echo; read line", nullptr);
    _exit(1);
  });
  is_ready.Await();
  BackgroundRecovery recovery(RecoveryOptions());
  EXPECT_EQ(RunRound(&recovery, kBegin), 1u);
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("before exec"));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(AwaitChild(child), SIGKILL)
      << "the process was alive during the recovery";
}

class UnfinishedRingTest : public BackgroundRecoveryFixture {
 protected:
  std::string MakeUnfinished(pid_t owner) {
    std::string path =
        absl::StrCat(directory_, "/program.host.20261124-034019.", owner,
                     ".5f3a9c1b.ring.tmp");
    WriteFile(path, "");
    return path;
  }
};

TEST_F(UnfinishedRingTest, IsDeletedWhenItsOwnerIsDead) {
  const pid_t dead = StartChild([] { _exit(0); });
  AwaitChild(dead);
  MakeUnfinished(dead);
  const std::string of_living_process = MakeUnfinished(getppid());
  BackgroundRecovery recovery(RecoveryOptions());
  EXPECT_EQ(RunRound(&recovery, kBegin), 1u);
  EXPECT_THAT(FilesIn(directory_, ".tmp"), ElementsAre(of_living_process));
}

// In a container, each process of the program may have the same id.
TEST_F(UnfinishedRingTest, OfFormerProcessWithSameIdIsDeleted) {
  BackgroundRecovery recovery(RecoveryOptions());
  const std::string path = MakeUnfinished(getpid());
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(LockFile(fd, path), absl::OkStatus());
  EXPECT_EQ(RunRound(&recovery, kBegin), 0u);
  EXPECT_TRUE(Exists(path)) << "its owner is creating it";
  close(fd);
  EXPECT_EQ(RunRound(&recovery, kBegin + kInterval), 1u);
  EXPECT_FALSE(Exists(path));
}

TEST_F(BackgroundRecoveryTest, RunsOneThreadAtATime) {
  Gate gate;
  BackgroundRecovery recovery(RecoveryOptions());
  const Other second = Begin("second");
  LeaveRing("first");
  g_gate = &gate;
  recovery.StartRoundIfDue(kBegin);
  gate.has_come.Await();
  Kill(second);
  for (int i = 1; i < 4; ++i) {
    recovery.StartRoundIfDue(kBegin + i * kInterval);
    EXPECT_TRUE(recovery.progress().is_running);
    EXPECT_EQ(recovery.progress().ended_rounds, 0u);
  }
  g_gate = nullptr;
  gate.may_go_on.Send();
  WaitUntil([&] { return !recovery.progress().is_running; });
  // The next round is due already.
  EXPECT_EQ(RunRound(&recovery, kBegin + 4 * kInterval), 1u);
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), UnorderedElementsAre("first", "second"));
}

TEST_F(BackgroundRecoveryTest, RoundMayOutliveBackgroundRecovery) {
  for (const bool with_flusher : {false, true}) {
    Gate gate;
    const std::string left = LeaveRing(absl::StrCat("record ", with_flusher));
    g_gate = &gate;
    {
      BackgroundRecovery recovery(RecoveryOptions());
      if (with_flusher) {
        MakeRing(64);
        const auto flusher = StartFlusher(ring_.get(), Options(), &recovery);
        gate.has_come.Await();
        EXPECT_TRUE(flusher->Stop().ok());
      } else {
        recovery.StartRoundIfDue(kBegin);
        gate.has_come.Await();
      }
    }
    EXPECT_TRUE(Exists(left));
    g_gate = nullptr;
    gate.may_go_on.Send();
    gate.has_deleted.Await();
    EXPECT_FALSE(Exists(left));
  }
  EXPECT_THAT(Texts(), UnorderedElementsAre("record 0", "record 1"));
}

TEST_F(BackgroundRecoveryTest, ProcessMayEndDuringRound) {
  const std::string left = LeaveRing("record");
  EXPECT_EQ(RunChild([&] {
              Gate gate;
              g_gate = &gate;
              BackgroundRecovery recovery(RecoveryOptions());
              recovery.StartRoundIfDue(kBegin);
              gate.has_come.Await();
              exit(0);
            }),
            0);
  EXPECT_TRUE(Exists(left));
  BackgroundRecovery recovery(RecoveryOptions());
  EXPECT_EQ(RunRound(&recovery, kBegin), 1u);
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

}  // namespace
}  // namespace ringlog
