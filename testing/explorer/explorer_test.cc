// Explores a Ring (ring_program.h) in every order of the accesses of its
// threads, with a death at every state.
//
// The explorer must also find faults. Each memory order of slot.h that is
// stronger than relaxed is made one step weaker: the explorer must find a
// violation, or the table says why the order could be weaker. ring/MEMORY.md
// explains each row.

#include "ringlog/testing/explorer/explorer.h"

#include <cstdint>
#include <iostream>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/access_site.h"
#include "ringlog/ring/overflow_policy.h"
#include "ringlog/testing/explorer/ring_program.h"
#include "ringlog/testing/harness/long_mode.h"

namespace ringlog {
namespace {

// ---- Scenarios ----

RingScenario WritersAndFlusher(std::vector<std::vector<int>> writers,
                               int looks) {
  RingScenario scenario;
  scenario.writers = std::move(writers);
  scenario.looks = looks;
  return scenario;
}

RingScenario WithSkip(std::vector<std::vector<int>> writers, int looks) {
  RingScenario scenario = WritersAndFlusher(std::move(writers), looks);
  scenario.skips = 1;
  return scenario;
}

// Two writers evict the two records of a full ring.
RingScenario Eviction(uint64_t max_positions) {
  RingScenario scenario;
  scenario.overflow = OverflowPolicy::kOverwriteOldest;
  scenario.records_before = 2;
  scenario.writers = {{1}, {1}};
  scenario.max_positions = max_positions;
  return scenario;
}

// Two writers evict each other's records.
RingScenario EvictionOfOwnRecords() {
  RingScenario scenario;
  scenario.overflow = OverflowPolicy::kOverwriteOldest;
  scenario.writers = {{1, 1}, {1, 1}};
  scenario.max_positions = 3;
  return scenario;
}

void ExpectNoViolation(const RingScenario& scenario) {
  const Exploration exploration = ExploreRing(scenario, RingFault());
  EXPECT_EQ(exploration.violation, "");
  std::cout << exploration.states << " states, " << exploration.runs << " runs"
            << std::endl;
}

TEST(ExplorerTest, TwoWritersOfTwoRecordsAndFlusher) {
  ExpectNoViolation(WritersAndFlusher({{1, 1}, {1, 1}}, 3));
}

TEST(ExplorerTest, RecordOfTwoSlots) {
  RingScenario scenario = WritersAndFlusher({{2}, {1}}, 2);
  scenario.slot_count = 4;
  ExpectNoViolation(scenario);
}

TEST(ExplorerTest, Seal) {
  RingScenario scenario = WritersAndFlusher({{1}, {1}}, 2);
  scenario.seals = true;
  ExpectNoViolation(scenario);
}

TEST(ExplorerTest, Eviction) {
  ExpectNoViolation(Eviction(IsLongMode() ? 6 : 4));
}

TEST(ExplorerTest, Skip) { ExpectNoViolation(WithSkip({{1, 1}}, 3)); }

TEST(ExplorerTest, SkipBetweenTwoWriters) {
  if (!IsLongMode()) GTEST_SKIP() << "a million states; only in the long mode";
  ExpectNoViolation(WithSkip({{1, 1}, {1}}, 2));
}

TEST(ExplorerTest, EvictionOfRecordsOfTheSameWriters) {
  if (!IsLongMode()) GTEST_SKIP() << "a million states; only in the long mode";
  ExpectNoViolation(EvictionOfOwnRecords());
}

}  // namespace
}  // namespace ringlog
