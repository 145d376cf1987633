// Invariants checked: what processes leave that die while others live gets into
// segments, each record once, and nothing is touched that somebody has; no
// thread is at work when there is nothing to do, nor more than one at a time;
// it may outlive who started it.

#include "ringlog/compress/recovery/background_recovery.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(BackgroundRecoveryTest, ItLooksOnceInAnInterval) {
  BackgroundRecovery runner = Runner();
  const std::string first = LeaveRing("first");
  EXPECT_TRUE(RunToEnd(&runner, kBegin));
  EXPECT_FALSE(IsThere(first));
  const std::string second = LeaveRing("second");
  EXPECT_FALSE(RunToEnd(&runner, kBegin + kInterval - absl::Nanoseconds(1)));
  EXPECT_TRUE(IsThere(second));
  EXPECT_TRUE(RunToEnd(&runner, kBegin + kInterval));
  EXPECT_FALSE(IsThere(second));
  EXPECT_FALSE(RunToEnd(&runner, kBegin + 2 * kInterval)) << "told once";
  EXPECT_THAT(Texts(), UnorderedElementsAre("first", "second"));
}

TEST_F(BackgroundRecoveryTest, WhereSomebodyElseDoesItAtTheStartItComesLater) {
  BackgroundRecovery runner = Runner(/*is_due=*/false);
  const std::string left = LeaveRing("record");
  EXPECT_FALSE(RunToEnd(&runner, kBegin));
  EXPECT_FALSE(RunToEnd(&runner, kBegin + kInterval - absl::Nanoseconds(1)));
  EXPECT_TRUE(IsThere(left));
  EXPECT_TRUE(RunToEnd(&runner, kBegin + kInterval));
  EXPECT_FALSE(IsThere(left));
}

// Of the runner's own process and of others, here and elsewhere.
TEST_F(BackgroundRecoveryTest, WhatBelongsToSomebodyIsNotTouched) {
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
  const auto leave_in_shared = [&](const std::string& segments) {
    RingOptions options;
    options.slot_count = 2;
    options.program = "program";
    options.segment_directory = segments;
    auto ring = Ring::CreateIn(shared, RingFileName, options);
    return ring.ok() ? (*ring)->path() : "";
  };
  stay.push_back(leave_in_shared(""));
  stay.push_back(leave_in_shared("/somewhere/else"));
  const std::string left = leave_in_shared(directory_);

  BackgroundRecovery runner({directory_, shared, "program"}, kInterval,
                            /*is_due=*/true);
  EXPECT_TRUE(RunToEnd(&runner, kBegin));
  EXPECT_FALSE(IsThere(left));
  for (const std::string& path : stay) EXPECT_TRUE(IsThere(path)) << path;
  for (int i = 1; i < 3; ++i) {
    runner.RunIfDue(kBegin + i * kInterval, SegmentWriterOptions());
    EXPECT_FALSE(runner.is_running()) << "there is nothing to do";
  }
  may_end.Send();
  EXPECT_EQ(AwaitChild(child), 0);
}

// As programs do that close all descriptors there are. That the mapping keeps
// the lock is Linux's kindness, and not what it is left to.
TEST_F(BackgroundRecoveryTest, ARingThatItsOwnProcessHasClosedByMistakeStays) {
  EXPECT_EQ(RunChild([&] {
              MakeRing(64);
              struct stat ring;
              if (stat(ring_->path().c_str(), &ring) != 0) _exit(1);
              for (int fd = 3; fd < 1000; ++fd) {
                struct stat st;
                if (fstat(fd, &st) != 0 || st.st_ino != ring.st_ino) continue;
                flock(fd, LOCK_UN);
                close(fd);
              }
              BackgroundRecovery runner = Runner();
              if (RunToEnd(&runner, kBegin)) _exit(2);
              _exit(IsThere(ring_->path()) ? 0 : 3);
            }),
            0);
}

// It has the id and the start of the process that logged.
TEST_F(BackgroundRecoveryTest, TheRingOfAProcessThatCalledExecIsALeftover) {
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
  BackgroundRecovery runner = Runner();
  EXPECT_TRUE(RunToEnd(&runner, kBegin));
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("before exec"));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(AwaitChild(child), SIGKILL) << "it was alive until now";
}

TEST_F(BackgroundRecoveryTest, WhatDidNotBecomeARingGoesWhenItsMakerIsDead) {
  const pid_t dead = StartChild([] { _exit(0); });
  AwaitChild(dead);
  const auto unfinished = [&](pid_t maker) {
    std::string path =
        absl::StrCat(directory_, "/program.host.20261124-034019.", maker,
                     ".5f3a9c1b.ring.tmp");
    WriteFile(path, "");
    return path;
  };
  unfinished(dead);
  const std::string of_the_living = unfinished(getpid());
  BackgroundRecovery runner = Runner();
  EXPECT_TRUE(RunToEnd(&runner, kBegin));
  EXPECT_THAT(FilesIn(directory_, ".tmp"), ElementsAre(of_the_living));
}

// In processes that have not said anything yet, a second one where it might be
// told again: stderr gets no more than a line a minute.
TEST_F(BackgroundRecoveryTest,
       WhatCannotBeRecoveredIsToldOnceAndTriedNowAndThen) {
  const std::string left = LeaveRing("record");
  constexpr absl::Duration kRetry = absl::Minutes(10);
  BackgroundRecovery runner = Runner();
  const auto tries_at = [&](absl::Duration now) {
    runner.RunIfDue(now, SegmentWriterOptions());
    return runner.is_running();
  };
  const auto go_on = [&] {
    if (RunToEnd(&runner, kBegin + kRetry + kInterval)) _exit(4);
    if (tries_at(kBegin + 2 * kRetry)) _exit(5);
    g_is_stuck = false;
    if (!RunToEnd(&runner, kBegin + 3 * kRetry)) _exit(6);
  };
  const auto begin = [&] {
    g_is_stuck = true;
    if (RunToEnd(&runner, kBegin)) _exit(1);
    if (tries_at(kBegin + kInterval)) _exit(2);
    if (tries_at(kBegin + kRetry - absl::Nanoseconds(1))) _exit(3);
    _exit(WEXITSTATUS(AwaitChild(StartChild(go_on))));
  };
  std::string err;
  EXPECT_EQ(RunChild(begin, &err), 0);
  EXPECT_THAT(err, HasSubstr("what a process that died has left: "));
  EXPECT_THAT(err, HasSubstr(absl::StrCat("delete ", left)));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

// Which is ENOENT as well, but the ring is there.
TEST_F(BackgroundRecoveryTest, ADirectoryThatHasGoneIsAnErrorToo) {
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
  std::string err;
  EXPECT_EQ(RunChild(
                [&] {
                  BackgroundRecovery runner({gone, shared, "program"},
                                            kInterval,
                                            /*is_due=*/true);
                  if (RunToEnd(&runner, kBegin)) _exit(1);
                  if (FilesIn(shared, ".ring").size() != 1) _exit(2);
                  runner.RunIfDue(kBegin + kInterval, SegmentWriterOptions());
                  if (runner.is_running()) _exit(3);
                },
                &err),
            0);
  EXPECT_THAT(err, HasSubstr("cannot recover"));
}

TEST_F(BackgroundRecoveryTest, ARingInMemoryHasNothingRecovered) {
  const std::string left = LeaveRing("record");
  auto ring = Ring::CreateAnonymous(RingOptions());
  ASSERT_TRUE(ring.ok()) << ring.status();
  BackgroundRecovery runner(LogDirectoriesOf(**ring, directory_), kInterval,
                            /*is_due=*/true);
  EXPECT_FALSE(RunToEnd(&runner, kBegin));
  EXPECT_TRUE(IsThere(left));
}

TEST_F(BackgroundRecoveryTest, ThereIsOneThreadAtATime) {
  Gate gate;
  BackgroundRecovery runner = Runner();
  const Other second = Begin("second");
  LeaveRing("first");
  g_gate = &gate;
  runner.RunIfDue(kBegin, SegmentWriterOptions());
  gate.has_come.Await();
  Kill(second);
  for (int i = 1; i < 4; ++i) {
    EXPECT_FALSE(
        runner.RunIfDue(kBegin + i * kInterval, SegmentWriterOptions()));
    EXPECT_TRUE(runner.is_running());
  }
  g_gate = nullptr;
  gate.may_go_on.Send();
  // What has become due meanwhile is done at once.
  EXPECT_TRUE(RunToEnd(&runner, kBegin + 4 * kInterval));
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), UnorderedElementsAre("first", "second"));
}

// The thread of a runner, and of a flusher, that is destroyed.
TEST_F(BackgroundRecoveryTest, ARecoveryMayOutliveWhoBeganIt) {
  for (const bool with_flusher : {false, true}) {
    Gate gate;
    const std::string left = LeaveRing(absl::StrCat("record ", with_flusher));
    g_gate = &gate;
    if (with_flusher) {
      MakeRing(64);
      const auto flusher = StartFlusher(ring_.get(), ImpatientOptions());
      gate.has_come.Await();
      EXPECT_TRUE(flusher->Stop().ok());
    } else {
      BackgroundRecovery runner = Runner();
      runner.RunIfDue(kBegin, SegmentWriterOptions());
      gate.has_come.Await();
    }
    EXPECT_TRUE(IsThere(left));
    g_gate = nullptr;
    gate.may_go_on.Send();
    gate.has_deleted.Await();
    EXPECT_FALSE(IsThere(left));
  }
  EXPECT_THAT(Texts(), UnorderedElementsAre("record 0", "record 1"));
}

TEST_F(BackgroundRecoveryTest, AProcessMayEndWithinARecovery) {
  const std::string left = LeaveRing("record");
  EXPECT_EQ(RunChild([&] {
              Gate gate;
              g_gate = &gate;
              BackgroundRecovery runner = Runner();
              runner.RunIfDue(kBegin, SegmentWriterOptions());
              gate.has_come.Await();
              exit(0);
            }),
            0);
  EXPECT_TRUE(IsThere(left));
  BackgroundRecovery runner = Runner();
  EXPECT_TRUE(RunToEnd(&runner, kBegin));
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("record"));
}

}  // namespace
}  // namespace ringlog
