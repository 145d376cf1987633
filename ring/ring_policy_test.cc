// Tests of each OverflowPolicy with a full ring.

#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_test_fixture.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;

RingOptions With(OverflowPolicy policy, uint64_t slot_count = 8,
                 absl::Duration deadline = absl::InfiniteDuration()) {
  RingOptions options = SmallRing();
  options.overflow = policy;
  options.slot_count = slot_count;
  options.block_deadline = deadline;
  return options;
}

int WriteUntilDropped(TestRing& ring, Severity severity) {
  int written = 0;
  while (ring.Write("x", severity)) ++written;
  return written;
}

// ---- A ring with a successor ----

// The writer then appends the record to the successor.
TEST(SuccessorTest, RecordForSuccessorIsNotCountedAsDropped) {
  for (const OverflowPolicy policy :
       {OverflowPolicy::kDropNewest, OverflowPolicy::kBlock}) {
    TestRing ring(With(policy));
    ASSERT_TRUE(ring.Write("last"));
    ring.ring().SetSuccessor();
    EXPECT_THAT(ring.ReadAll(), ElementsAre("last"));
    ring.Release();
    ASSERT_TRUE(ring.ring().Seal());
    EXPECT_FALSE(ring.Write("late"));
    ring.ring().DiscardSlots();
    EXPECT_FALSE(ring.Write("later"));
    for (const DropCause cause :
         {DropCause::kRingFull, DropCause::kTimedOut, DropCause::kClosed}) {
      EXPECT_EQ(ring.ring().dropped(cause, Severity::kInfo), 0u);
    }
  }
}

// The writer of a skipped slot still writes to the slot's memory.
TEST(SuccessorTest, StuckWriterMayCommitAfterSlotsWereDiscarded) {
  TestRing ring(With(OverflowPolicy::kDropNewest));
  const auto stuck = ring.ring().Claim(Severity::kInfo, 40, 1);
  ASSERT_TRUE(stuck.has_value());
  ring.ring().SetSuccessor();
  ASSERT_TRUE(ring.ring().Skip(ring.ring().tail_position()).has_value());
  ring.ring().Release();
  ASSERT_TRUE(ring.ring().Seal());
  ring.ring().DiscardSlots();
  EXPECT_FALSE(
      ring.ring().Commit(*stuck, Severity::kInfo, std::string(40, '\0'), "x"));
}

// ---- kDropNewest ----

TEST(DropNewestTest, KeepsOldestAndCountsDrops) {
  TestRing ring;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  EXPECT_FALSE(ring.Write("no", Severity::kInfo));
  EXPECT_FALSE(ring.Write("no", Severity::kInfo));
  EXPECT_FALSE(ring.Write("no", Severity::kError));
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kInfo), 2u);
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kError), 1u);
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kFatal), 0u);
  EXPECT_THAT(ring.ReadAll(),
              ElementsAre("0", "1", "2", "3", "4", "5", "6", "7"));
}

TEST(DropNewestTest, LongRecordIsDroppedShortOneFits) {
  TestRing ring;
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(ring.Write("x"));
  EXPECT_FALSE(ring.Write(std::string(SmallBody(2), 'l')));
  EXPECT_TRUE(ring.Write("short"));
}

TEST(DropNewestTest, DropTakesNoPosition) {
  TestRing ring;
  WriteUntilDropped(ring, Severity::kInfo);
  EXPECT_EQ(ring.ring().tail_position(), ring.header().first_position + 8);
}

TEST(DropNewestTest, ReservesSlotsForWarningAndFatal) {
  TestRing ring(With(OverflowPolicy::kDropNewest, 64));
  EXPECT_EQ(ring.ring().capacity(Severity::kInfo), 56u);
  EXPECT_EQ(ring.ring().capacity(Severity::kWarning), 60u);
  EXPECT_EQ(ring.ring().capacity(Severity::kError), 60u);
  EXPECT_EQ(ring.ring().capacity(Severity::kFatal), 64u);
  EXPECT_EQ(WriteUntilDropped(ring, Severity::kInfo), 56);
  EXPECT_EQ(WriteUntilDropped(ring, Severity::kWarning), 4);
  EXPECT_EQ(WriteUntilDropped(ring, Severity::kError), 0);
  EXPECT_EQ(WriteUntilDropped(ring, Severity::kFatal), 4);
  EXPECT_EQ(ring.ReadAll().size(), 64u);
  ring.Release();
  EXPECT_EQ(WriteUntilDropped(ring, Severity::kInfo), 56);
}

// The second attempt begins after the slot of the stuck writer.
TEST(DropNewestTest, OneHeldSlotDropsNoLongRecord) {
  for (uint64_t before = 0; before < 64; ++before) {
    TestRing ring(With(OverflowPolicy::kDropNewest, 64));
    const auto stuck = ring.ring().Claim(Severity::kInfo, 1, 1);
    ASSERT_TRUE(ring.ring().Skip(UINT64_MAX).has_value());
    for (uint64_t i = 0; i < before; ++i) {
      ASSERT_TRUE(ring.Write("x"));
      ring.ReadAll();
      ring.Release();
    }
    ring.Release();
    const std::string body(SmallBody(32), 'l');
    EXPECT_TRUE(ring.Write(body)) << "after " << before << " records";
    EXPECT_THAT(ring.ReadAll(), ElementsAre(body));
    EXPECT_FALSE(ring.ring().Commit(*stuck, Severity::kInfo, "h", "x"));
  }
}

// ---- kBlock ----

TEST(BlockTest, InfiniteDeadlineLosesNothing) {
  TestRing ring(With(OverflowPolicy::kBlock));
  constexpr int kRecords = 200;
  std::thread writer([&] {
    for (int i = 0; i < kRecords; ++i) {
      EXPECT_TRUE(ring.Write(absl::StrCat(i)));
    }
  });
  int taken = 0;
  while (taken < kRecords) {
    if (const auto body = ring.Read()) {
      EXPECT_EQ(*body, absl::StrCat(taken++));
    } else {
      ring.Release();
      std::this_thread::yield();
    }
  }
  writer.join();
  EXPECT_EQ(ring.ring().dropped(DropCause::kTimedOut, Severity::kInfo), 0u);
}

TEST(BlockTest, LongRecordWaitsForAllItsSlots) {
  TestRing ring(With(OverflowPolicy::kBlock));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write("x"));
  const std::string body(SmallBody(3), 'l');
  std::thread writer([&] { EXPECT_TRUE(ring.Write(body)); });
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(ring.Read(), "x");
    ring.Release();
  }
  writer.join();
  EXPECT_EQ(ring.Read(), body);
}

TEST(BlockTest, DeadlineDropsAndCountsTimedOut) {
  const absl::Duration deadline = absl::Milliseconds(20);
  TestRing ring(With(OverflowPolicy::kBlock, 8, deadline));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write("x"));
  const absl::Time begin = absl::Now();
  EXPECT_FALSE(ring.Write("late", Severity::kWarning));
  EXPECT_GE(absl::Now() - begin, deadline - absl::Milliseconds(1));
  EXPECT_EQ(ring.ring().dropped(DropCause::kTimedOut, Severity::kWarning), 1u);
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kWarning), 0u);
}

TEST(BlockTest, DeadlineOfZeroDoesNotWait) {
  for (const auto deadline : {absl::ZeroDuration(), -absl::Hours(1)}) {
    TestRing ring(With(OverflowPolicy::kBlock, 8, deadline));
    EXPECT_EQ(WriteUntilDropped(ring, Severity::kInfo), 8);
  }
}

TEST(BlockTest, SealedRingDoesNotBlock) {
  TestRing ring(With(OverflowPolicy::kBlock));
  ASSERT_TRUE(ring.ring().Seal());
  EXPECT_FALSE(ring.Write("late", Severity::kError));
  EXPECT_EQ(ring.ring().dropped(DropCause::kClosed, Severity::kError), 1u);
  EXPECT_EQ(ring.ring().dropped(DropCause::kTimedOut, Severity::kError), 0u);
}

// The result is the same whether SetFlusherEnded() is called before or after
// the writer begins to wait.
TEST(BlockTest, EndOfTheFlusherEndsWait) {
  TestRing ring(With(OverflowPolicy::kBlock));
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(ring.Write("x"));
  std::thread writer(
      [&] { EXPECT_FALSE(ring.Write(std::string(SmallBody(2), 'l'))); });
  ring.ring().SetFlusherEnded();
  writer.join();
  EXPECT_EQ(ring.ring().dropped(DropCause::kClosed, Severity::kInfo), 1u);
  EXPECT_TRUE(ring.Write("there is room for it"));
  EXPECT_FALSE(ring.Write("and for no other"));
  EXPECT_EQ(ring.ring().dropped(DropCause::kClosed, Severity::kInfo), 2u);
}

// ---- kOverwriteOldest ----

TEST(OverwriteOldestTest, KeepsLastRecords) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  EXPECT_THAT(ring.Recover(), ElementsAre("992", "993", "994", "995", "996",
                                          "997", "998", "999"));
  EXPECT_EQ(ring.ring().dropped(DropCause::kOverwritten, Severity::kInfo),
            992u);
}

TEST(OverwriteOldestTest, LongRecordEvictsSlotsItNeeds) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  const std::string body(SmallBody(3), 'l');
  ASSERT_TRUE(ring.Write(body));
  EXPECT_THAT(ring.Recover(), ElementsAre("3", "4", "5", "6", "7", body));
}

TEST(OverwriteOldestTest, EvictedLongRecordCountsOnce) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  ASSERT_TRUE(ring.Write(std::string(SmallBody(3), 'l'), Severity::kError));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  EXPECT_EQ(ring.ring().dropped(DropCause::kOverwritten, Severity::kError), 1u);
  EXPECT_EQ(ring.ring().dropped(DropCause::kOverwritten, Severity::kInfo), 0u);
}

TEST(OverwriteOldestTest, MethodsOfFlusherDoNothing) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  const auto stuck = ring.ring().Claim(Severity::kInfo, 1, 1);
  EXPECT_EQ(ring.Read(), std::nullopt);
  EXPECT_EQ(ring.ring().pending(), std::nullopt);
  EXPECT_EQ(ring.ring().Skip(UINT64_MAX), std::nullopt);
  ring.Release();
  EXPECT_FALSE(ring.ring().Seal());
  EXPECT_TRUE(ring.ring().Commit(*stuck, Severity::kInfo, "h", "20"));
  EXPECT_THAT(ring.Recover(),
              ElementsAre("13", "14", "15", "16", "17", "18", "19", "20"));
}

TEST(OverwriteOldestTest, EmptyRingIsNotSealed) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  EXPECT_FALSE(ring.ring().Seal());
  EXPECT_TRUE(ring.Write("x"));
}

TEST(OverwriteOldestTest, ReservesNoSlots) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest, 64));
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(ring.Write("x"));
  EXPECT_EQ(ring.ring().dropped(DropCause::kOverwritten, Severity::kInfo), 0u);
  EXPECT_EQ(ring.Recover().size(), 64u);
}

// Few slots and many writers: a slot that a writer needs often belongs to
// another one for a moment. A writer that the system does not run for longer
// than that is as good as stuck, which is rare.
TEST(OverwriteOldestTest, SmallRingDropsOnlyForWritersThatDoNotRun) {
  constexpr uint64_t kWriters = 4;
  constexpr uint64_t kRecords = 100000;
  for (const uint64_t slot_count : {2, 4}) {
    TestRing ring(With(OverflowPolicy::kOverwriteOldest, slot_count));
    std::vector<std::thread> writers;
    for (uint64_t i = 0; i < kWriters; ++i) {
      writers.emplace_back([&ring] {
        for (uint64_t n = 0; n < kRecords; ++n) ring.Write("x");
      });
    }
    for (std::thread& writer : writers) writer.join();
    const uint64_t dropped =
        ring.ring().dropped(DropCause::kRingFull, Severity::kInfo);
    std::cout << dropped << " records dropped with " << slot_count << " slots"
              << std::endl;
    EXPECT_LT(dropped, kWriters * kRecords / 1000);
  }
}

TEST(OverwriteOldestTest, StuckWriterIsSkipped) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  const auto stuck = ring.ring().Claim(Severity::kInfo, 1, 1);
  ASSERT_TRUE(stuck.has_value());
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  EXPECT_FALSE(ring.ring().Commit(*stuck, Severity::kInfo, "h", "x"));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write(absl::StrCat(i)));
  EXPECT_EQ(ring.Recover().size(), 8u)
      << "the slot of the stuck writer is used again";
}

TEST(OverwriteOldestTest, DropsIfStuckWritersOwnAllSlots) {
  TestRing ring(With(OverflowPolicy::kOverwriteOldest));
  std::vector<SlotRange> stuck;
  for (int i = 0; i < 8; ++i) {
    stuck.push_back(*ring.ring().Claim(Severity::kInfo, 1, 1));
  }
  EXPECT_FALSE(ring.Write("no slot to be had"));
  EXPECT_FALSE(ring.Write(std::string(SmallBody(4), 'l')));
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kInfo), 2u);
  for (const SlotRange& claim : stuck) {
    EXPECT_FALSE(ring.ring().Commit(claim, Severity::kInfo, "h", "late"));
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(ring.Write(absl::StrCat(i)));
  EXPECT_EQ(ring.Recover().size(), 8u);
}

TEST(OverwriteOldestTest, FindsFreeSlotBetweenStuckWriters) {
  for (int free_slot = 0; free_slot < 8; ++free_slot) {
    TestRing ring(With(OverflowPolicy::kOverwriteOldest));
    for (int i = 0; i < 8; ++i) {
      const auto claim = ring.ring().Claim(Severity::kInfo, 1, 1);
      if (i == free_slot) ring.ring().Abandon(*claim);
    }
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(ring.Write(absl::StrCat(i))) << free_slot;
    }
  }
}

}  // namespace
}  // namespace ringlog
