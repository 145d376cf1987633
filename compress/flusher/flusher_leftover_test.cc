// Invariants checked: a flusher has recovered what processes leave that die
// while it runs, and keeps to its limits beside that.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery_test_fixture.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

TEST_F(BackgroundRecoveryTest, WhatAChildLeavesIsRecoveredWhileItsParentLives) {
  std::vector<Other> children;
  for (int i = 0; i < 5; ++i) {
    children.push_back(Begin(absl::StrCat("child ", i)));
  }
  MakeRing(64);
  const auto flusher = StartFlusher(ring_.get(), ImpatientOptions());
  Append("before");
  for (const Other& child : children) {
    Kill(child);
    WaitUntil([&] { return !IsThere(child.ring); });
  }
  EXPECT_THAT(Rings(), ElementsAre(ring_->path()));
  Append("after");
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(Texts(),
              UnorderedElementsAre("before", "child 0", "child 1", "child 2",
                                   "child 3", "child 4", "after"));
}

// Without that a flusher looks at its limits once a minute.
TEST_F(BackgroundRecoveryTest, WhatIsRecoveredCountsForTheLimitsAtOnce) {
  std::vector<Other> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(Begin(absl::StrCat("child ", i)));
  }
  MakeRing(64);
  FlusherOptions options = ImpatientOptions();
  options.retention.max_files = 1;
  const auto flusher = StartFlusher(ring_.get(), options);
  Append("own");
  ASSERT_TRUE(flusher->Flush(kLong));
  for (const Other& child : children) {
    Kill(child);
    WaitUntil([&] { return !IsThere(child.ring); });
  }
  WaitUntil([&] { return FilesIn(directory_, ".log.zst").size() == 1; });
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("own"));
}

TEST_F(BackgroundRecoveryTest, AFlusherWhoseLimitsWaitDoesNotLookYet) {
  const std::string left = LeaveRing("record");
  MakeRing(64);
  FlusherOptions options = ImpatientOptions();
  options.limits_wait = true;
  const auto flusher = StartFlusher(ring_.get(), options);
  for (int i = 0; i < 10; ++i) {
    Append("own");
    ASSERT_TRUE(flusher->Flush(kLong));
  }
  EXPECT_TRUE(IsThere(left));
  flusher->StartLimits();
  WaitUntil([&] { return !IsThere(left); });
}

// Retention waits while a recovery runs, but not for the next one.
TEST_F(BackgroundRecoveryTest, LimitsHoldBetweenOneRecoveryAndTheNext) {
  Gate first, second;
  const Other later = Begin("second");
  LeaveRing("first");
  g_gate = &first;
  MakeRing(64);
  FlusherOptions options = ImpatientOptions();
  options.retention.max_files = 1;
  const auto flusher = StartFlusher(ring_.get(), options);
  first.has_come.Await();
  Kill(later);
  for (int i = 0; i < 10; ++i) {
    Append("own");
    ASSERT_TRUE(flusher->Rotate(kLong).ok());
  }
  g_gate = &second;
  first.may_go_on.Send();
  second.has_come.Await();
  // Its own last, and those that belong to the rings.
  EXPECT_LE(FilesIn(directory_, ".log.zst").size(), 3u);
  g_gate = nullptr;
  second.may_go_on.Send();
  WaitUntil([&] { return !IsThere(later.ring); });
  EXPECT_TRUE(flusher->Stop().ok());
}

}  // namespace
}  // namespace ringlog
