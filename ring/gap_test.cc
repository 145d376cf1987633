#include "ringlog/ring/gap.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace ringlog {
namespace {

TEST(GapTest, CausesHaveNumbersAndNames) {
  const struct {
    GapCause cause;
    int number;
    const char* name;
    bool is_loss;
  } causes[] = {
      {GapCause::kRingFull, 0, "ring_full", true},
      {GapCause::kTimedOut, 1, "timed_out", true},
      {GapCause::kOverwritten, 2, "overwritten", true},
      {GapCause::kClosed, 3, "closed", true},
      {GapCause::kUnfinished, 4, "unfinished", false},
      {GapCause::kStuckWriter, 5, "stuck_writer", true},
      {GapCause::kChecksumMismatch, 6, "checksum_mismatch", true},
      {GapCause::kMissing, 7, "missing", true},
      {static_cast<GapCause>(8), 8, "unknown", true},
  };
  for (const auto& c : causes) {
    EXPECT_EQ(static_cast<int>(c.cause), c.number) << c.name;
    EXPECT_EQ(GapCauseName(c.cause), c.name);
    EXPECT_EQ(IsLoss(c.cause), c.is_loss) << c.name;
  }
}

TEST(GapTest, DropCausesEqualGapCauses) {
  const std::pair<DropCause, GapCause> pairs[] = {
      {DropCause::kRingFull, GapCause::kRingFull},
      {DropCause::kTimedOut, GapCause::kTimedOut},
      {DropCause::kOverwritten, GapCause::kOverwritten},
      {DropCause::kClosed, GapCause::kClosed},
  };
  for (const auto& [drop, gap] : pairs) {
    EXPECT_EQ(static_cast<int>(drop), static_cast<int>(gap));
  }
}

TEST(GapTest, AddsDropsByCauseAndSeverity) {
  DropCounts drops = {};
  EXPECT_EQ(TotalOf(drops), 0u);
  DropCounts more = {};
  uint64_t power = 1;
  for (auto& of_cause : more) {
    for (uint64_t& count : of_cause) {
      count = power;
      power *= 2;
    }
  }
  EXPECT_EQ(TotalOf(more), power - 1);
  AddDrops(more, &drops);
  EXPECT_EQ(drops, more);
  AddDrops(more, &drops);
  EXPECT_EQ(TotalOf(drops), 2 * (power - 1));
  EXPECT_EQ(drops[3][3], power);
}

TEST(GapTest, DropGapsAreDifferencesByCause) {
  DropCounts before = {};
  before[0] = {10, 1, 0, 0};
  DropCounts now = before;
  now[0][0] += 812;
  now[0][3] += 1;
  now[2][1] += 5;
  const std::vector<Gap> gaps = DropGaps(now, before, 4711);
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_EQ(gaps[0].cause, GapCause::kRingFull);
  EXPECT_EQ(gaps[0].records, (std::array<uint64_t, 4>{812, 0, 0, 1}));
  EXPECT_EQ(gaps[1].cause, GapCause::kOverwritten);
  EXPECT_EQ(gaps[1].records, (std::array<uint64_t, 4>{0, 5, 0, 0}));
  for (const Gap& gap : gaps) {
    EXPECT_EQ(gap.first_position, 4711u);
    EXPECT_EQ(gap.end_position, 4711u);
  }
}

TEST(GapTest, EqualCountersReturnNoGap) {
  DropCounts counts = {};
  counts[1][2] = 7;
  EXPECT_TRUE(DropGaps(counts, counts, 1).empty());
}

TEST(GapTest, DecreasedCountersReturnNoGap) {
  DropCounts before = {};
  before[0][0] = UINT64_MAX;
  EXPECT_TRUE(DropGaps({}, before, 1).empty());
}

TEST(GapTest, DescriptionsAreSentences) {
  Gap dropped;
  dropped.cause = GapCause::kRingFull;
  dropped.first_position = dropped.end_position = 4711;
  dropped.records = {812, 0, 0, 0};
  EXPECT_EQ(Describe(dropped),
            "812 INFO records dropped before position 4711: the ring was full");
  dropped.cause = GapCause::kTimedOut;
  dropped.records = {0, 1, 0, 0};
  EXPECT_EQ(Describe(dropped),
            "1 WARNING record dropped before position 4711: the ring stayed "
            "full until the deadline");
  dropped.cause = GapCause::kOverwritten;
  dropped.records = {3, 0, 2, 1};
  EXPECT_EQ(Describe(dropped),
            "3 INFO, 2 ERROR, 1 FATAL records dropped before position 4711: "
            "newer records took their place");
  Gap missing;
  missing.cause = GapCause::kUnfinished;
  missing.first_position = 5;
  missing.end_position = 6;
  EXPECT_EQ(Describe(missing),
            "position 5 missing: still being written when the process died");
  missing.cause = GapCause::kChecksumMismatch;
  missing.end_position = 9;
  EXPECT_EQ(Describe(missing),
            "positions 5 to 8 missing: the bytes are not those that were "
            "written");
  missing.cause = GapCause::kStuckWriter;
  EXPECT_EQ(Describe(missing),
            "positions 5 to 8 missing: the writer did not finish in time");
  missing.thread_id = 4711;
  EXPECT_EQ(Describe(missing),
            "positions 5 to 8 missing: thread 4711 did not finish in time");
}

}  // namespace
}  // namespace ringlog
