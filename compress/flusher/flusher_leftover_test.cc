// Invariants checked:
//   - a flusher starts the rounds of recovery when they are due
//   - retention waits for the rounds of recovery, but runs between two rounds
//     and at the end

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/recovery/background_recovery_test_fixture.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class FlusherLeftoverTest : public BackgroundRecoveryFixture {
 protected:
  FlusherOptions MaxFiles(uint64_t count) {
    FlusherOptions options = Options();
    options.retention.max_files = count;
    return options;
  }
  // Writes segments with one record each.
  void WriteSegments(Flusher* flusher, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      Append("own");
      ASSERT_TRUE(flusher->Rotate(kLong).ok());
    }
  }
  size_t SegmentCount() const { return FilesIn(directory_, ".log.zst").size(); }
};

TEST_F(FlusherLeftoverTest, RecoversRingsOfKilledChildren) {
  std::vector<Other> children;
  for (int i = 0; i < 5; ++i) {
    children.push_back(Begin(absl::StrCat("child ", i)));
  }
  MakeRing(64);
  BackgroundRecovery recovery(FrequentRoundOptions());
  const auto flusher = StartFlusher(ring_.get(), Options(), &recovery);
  Append("before");
  for (const Other& child : children) {
    Kill(child);
    WaitUntil([&] { return !Exists(child.ring); });
  }
  EXPECT_THAT(Rings(), ElementsAre(ring_->path()));
  Append("after");
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(Texts(),
              UnorderedElementsAre("before", "child 0", "child 1", "child 2",
                                   "child 3", "child 4", "after"));
}

// If no segment is recovered, a flusher checks its limits once a minute.
TEST_F(FlusherLeftoverTest, RecoveredSegmentsCountAtOnce) {
  std::vector<Other> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(Begin(absl::StrCat("child ", i)));
  }
  MakeRing(64);
  BackgroundRecovery recovery(FrequentRoundOptions());
  const auto flusher = StartFlusher(ring_.get(), MaxFiles(1), &recovery);
  Append("own");
  ASSERT_TRUE(flusher->Flush(kLong));
  for (const Other& child : children) {
    Kill(child);
    WaitUntil([&] { return !Exists(child.ring); });
  }
  WaitUntil([&] { return SegmentCount() == 1; });
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("own"));
}

TEST_F(FlusherLeftoverTest, RetentionWaitsForFirstRound) {
  Gate gate;
  const std::string left = LeaveRing("record");
  g_gate = &gate;
  MakeRing(64);
  BackgroundRecovery recovery(RecoveryOptions());
  const auto flusher = StartFlusher(ring_.get(), MaxFiles(1), &recovery);
  gate.has_come.Await();
  WriteSegments(flusher.get(), 10);
  // Ten segments of this process, and one of the leftover ring.
  EXPECT_EQ(SegmentCount(), 11u);
  g_gate = nullptr;
  gate.may_go_on.Send();
  gate.has_deleted.Await();
  WaitUntil([&] { return SegmentCount() <= 2; });
  EXPECT_TRUE(flusher->Stop().ok());
}

TEST_F(FlusherLeftoverTest, StopRunsNoRetentionDuringFirstRound) {
  Gate gate;
  gate.ring = LeaveRing("record");
  g_gate = &gate;
  MakeRing(64);
  BackgroundRecovery recovery(RecoveryOptions());
  const auto flusher = StartFlusher(ring_.get(), MaxFiles(1), &recovery);
  gate.has_come.Await();
  WriteSegments(flusher.get(), 10);
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(SegmentCount(), 11u);
  gate.may_go_on.Send();
  gate.has_deleted.Await();
}

TEST_F(FlusherLeftoverTest, StopRunsRetentionDuringLaterRound) {
  Gate gate;
  const Other other = Begin("record");
  gate.ring = other.ring;
  MakeRing(64);
  BackgroundRecovery recovery(FrequentRoundOptions());
  const auto flusher = StartFlusher(ring_.get(), MaxFiles(1), &recovery);
  ASSERT_TRUE(recovery.AwaitFirstRound(kLong));
  // One segment is left after retention has run.
  WriteSegments(flusher.get(), 2);
  WaitUntil([&] { return SegmentCount() == 1; });
  g_gate = &gate;
  Kill(other);
  gate.has_come.Await();
  WriteSegments(flusher.get(), 10);
  EXPECT_GE(SegmentCount(), 10u);
  EXPECT_TRUE(flusher->Stop().ok());
  // The last segment of this process, and one of the leftover ring.
  EXPECT_LE(SegmentCount(), 2u);
  gate.may_go_on.Send();
  gate.has_deleted.Await();
}

// The first round of a forked child begins after a minute.
TEST_F(FlusherLeftoverTest, RetentionDoesNotWaitForDelayedFirstRound) {
  MakeRing(64);
  BackgroundRecovery::Options options = RecoveryOptions();
  options.first_round = BackgroundRecovery::FirstRound::kAfterInterval;
  BackgroundRecovery recovery(options);
  const std::string left = LeaveRing("record");
  const auto flusher = StartFlusher(ring_.get(), MaxFiles(1), &recovery);
  WriteSegments(flusher.get(), 10);
  WaitUntil([&] { return SegmentCount() == 1; });
  EXPECT_TRUE(Exists(left));
  EXPECT_TRUE(flusher->Stop().ok());
}

TEST_F(FlusherLeftoverTest, RetentionRunsBetweenRounds) {
  Gate first, second;
  const Other later = Begin("second");
  LeaveRing("first");
  g_gate = &first;
  MakeRing(64);
  BackgroundRecovery recovery(FrequentRoundOptions());
  const auto flusher = StartFlusher(ring_.get(), MaxFiles(1), &recovery);
  first.has_come.Await();
  Kill(later);
  WriteSegments(flusher.get(), 10);
  g_gate = &second;
  first.may_go_on.Send();
  second.has_come.Await();
  // The last segment of this process, and one of each leftover ring.
  WaitUntil([&] { return SegmentCount() <= 3; });
  EXPECT_TRUE(Exists(later.ring)) << "the second round is running";
  g_gate = nullptr;
  second.may_go_on.Send();
  WaitUntil([&] { return !Exists(later.ring); });
  EXPECT_TRUE(flusher->Stop().ok());
}

}  // namespace
}  // namespace ringlog
