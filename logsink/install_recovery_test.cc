// Invariants checked:
//   - Install() starts a round of recovery at once, and retention waits for it
//   - the end of a process waits for that round, but not longer than a second

#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class InstallRecoveryTest : public BackgroundRecoveryFixture {
 protected:
  // Ends the process if it is still running after a minute, so that an endless
  // wait is a failure of the test.
  RingLogSink* MustInstall() {
    alarm(60);
    signal(SIGALRM, SIG_DFL);
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = directory_;
    absl::StatusOr<RingLogSink*> sink = Install(options_);
    if (!sink.ok()) _exit(100);
    return *sink;
  }
  size_t SegmentCount() const { return FilesIn(directory_, ".log.zst").size(); }

  RingLogSinkOptions options_;
};

TEST_F(InstallRecoveryTest, ExitWaitsForRecovery) {
  LeaveRing("record");
  EXPECT_EQ(RunChild([&] { MustInstall(); }), 0);
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(Texts(), Contains("record"));
}

TEST_F(InstallRecoveryTest, ExitWaitsAtMostASecond) {
  Gate gate;
  gate.ring = LeaveRing("record");
  g_gate = &gate;
  const absl::Duration begin = MonotonicTime();
  EXPECT_EQ(RunChild([&] {
              MustInstall();
              gate.has_come.Await();
              LOG(INFO) << "own";
              exit(0);
            }),
            0);
  const absl::Duration duration = MonotonicTime() - begin;
  EXPECT_GE(duration, absl::Seconds(1));
  EXPECT_LT(duration, absl::Seconds(30));
  EXPECT_THAT(Rings(), ElementsAre(gate.ring))
      << "the ring is not recovered yet";
  EXPECT_THAT(Texts(), Contains("own"));
}

TEST_F(InstallRecoveryTest, WaitForRecoveryWaitsForFirstRound) {
  Gate gate;
  gate.ring = LeaveRing("record");
  g_gate = &gate;
  EXPECT_EQ(RunChild([&] {
              MustInstall();
              gate.has_come.Await();
              if (WaitForRecovery(absl::Milliseconds(10))) _exit(1);
              gate.may_go_on.Send();
              if (!WaitForRecovery(kLong)) _exit(2);
              if (Exists(gate.ring)) _exit(3);
            }),
            0);
}

TEST_F(InstallRecoveryTest, RetentionWaitsForFirstRound) {
  Gate gate;
  gate.ring = LeaveRing("record");
  g_gate = &gate;
  options_.retention.max_files = 1;
  EXPECT_EQ(RunChild([&] {
              RingLogSink* const sink = MustInstall();
              gate.has_come.Await();
              for (int i = 0; i < 10; ++i) {
                LOG(INFO) << "own";
                if (!sink->Rotate().ok()) _exit(1);
              }
              if (SegmentCount() != 11) _exit(2);
              gate.may_go_on.Send();
              if (!WaitForRecovery(kLong)) _exit(3);
              WaitUntil([&] { return SegmentCount() <= 2; });
            }),
            0);
}

// A flight recorder has no flusher that could start a round.
TEST_F(InstallRecoveryTest, OverwriteOldestRecoversAtStart) {
  const std::string left = LeaveRing("record");
  options_.overflow = OverflowPolicy::kOverwriteOldest;
  EXPECT_EQ(RunChild([&] {
              MustInstall();
              if (!WaitForRecovery(kLong)) _exit(1);
              _exit(Exists(left) ? 2 : 0);
            }),
            0);
  EXPECT_THAT(Texts(), Contains("record"));
}

}  // namespace
}  // namespace ringlog
