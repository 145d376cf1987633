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
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
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

// ---- Weakened orders ----

enum class Where { kFlusher, kEviction, kOwnEviction, kSkip };

RingScenario ScenarioOf(Where where) {
  switch (where) {
    case Where::kFlusher:
      return WritersAndFlusher({{1, 1}, {1}}, 3);
    case Where::kEviction:
      return Eviction(4);
    case Where::kOwnEviction:
      return EvictionOfOwnRecords();
    case Where::kSkip:
      break;
  }
  return WithSkip({{1, 1}, {1}}, 2);
}

struct Control {
  const char* name;
  WeakenedOrder weakened;
  Where where;
  // The violation that the explorer must find. Empty: the order is spare.
  const char* violation;
  // Found only after half a minute.
  bool is_long = false;
};

void PrintTo(const Control& control, std::ostream* out) {
  *out << control.name;
}

constexpr char kRace[] = "a data race";
constexpr char kPending[] = "a position stays pending";
constexpr char kWild[] = "a skip met a word that the protocol does not store";

const Control kControls[] = {
    {"TailReadReleased",
     {AccessSite::kTailReadReleased, __ATOMIC_RELAXED, 0},
     Where::kFlusher,
     kPending},
    {"ClaimSwapWithoutAcquire",
     {AccessSite::kClaimSwap, __ATOMIC_RELEASE, __ATOMIC_RELAXED},
     Where::kSkip,
     kRace},
    {"ClaimSwapWithoutRelease",
     {AccessSite::kClaimSwap, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED},
     Where::kEviction,
     kWild},
    {"ClaimSwapMark",
     {AccessSite::kClaimSwapMark, __ATOMIC_RELAXED, __ATOMIC_RELAXED},
     Where::kOwnEviction,
     kWild,
     /*is_long=*/true},
    {"CommitSwap",
     {AccessSite::kCommitSwap, __ATOMIC_RELAXED, __ATOMIC_RELAXED},
     Where::kFlusher,
     kRace},
    {"CommitFreeLate",
     {AccessSite::kCommitFreeLate, __ATOMIC_RELAXED, __ATOMIC_RELAXED},
     Where::kSkip,
     kRace},
    {"ExamineRead",
     {AccessSite::kExamineRead, __ATOMIC_RELAXED, 0},
     Where::kFlusher,
     kRace},
    {"ExamineSwapMarkThatFails",
     {AccessSite::kExamineSwapMark, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED},
     Where::kSkip,
     kRace,
     /*is_long=*/true},
    {"SkipRead",
     {AccessSite::kSkipRead, __ATOMIC_RELAXED, 0},
     Where::kOwnEviction,
     kWild},
    {"AdvanceReleased",
     {AccessSite::kAdvanceReleased, __ATOMIC_RELAXED, 0},
     Where::kFlusher,
     kPending},
    {"AdvanceReleasedFrom",
     {AccessSite::kAdvanceReleasedFrom, __ATOMIC_RELAXED, __ATOMIC_RELAXED},
     Where::kEviction,
     kWild},
    {"ReadReleased",
     {AccessSite::kReadReleased, __ATOMIC_RELAXED, 0},
     Where::kOwnEviction,
     kWild},
    // The flusher increases `released` after all frees, with release.
    {"FreeSwap",
     {AccessSite::kFreeSwap, __ATOMIC_RELAXED, __ATOMIC_RELAXED},
     Where::kFlusher,
     ""},
    // The load before the swap has acquired the same store.
    {"EvictSwapWithoutAcquire",
     {AccessSite::kEvictSwap, __ATOMIC_RELEASE, __ATOMIC_RELAXED},
     Where::kOwnEviction,
     ""},
    // The writer increases `released` after it, with release.
    {"EvictSwapWithoutRelease",
     {AccessSite::kEvictSwap, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED},
     Where::kOwnEviction,
     ""},
    // As EvictSwapWithoutRelease.
    {"SkipSwap",
     {AccessSite::kSkipSwap, __ATOMIC_RELAXED, __ATOMIC_RELAXED},
     Where::kOwnEviction,
     ""},
};

class WeakenedOrderTest : public ::testing::TestWithParam<Control> {};

INSTANTIATE_TEST_SUITE_P(EachSite, WeakenedOrderTest,
                         ::testing::ValuesIn(kControls), [](const auto& param) {
                           return std::string(param.param.name);
                         });

TEST_P(WeakenedOrderTest, IsFoundUnlessSpare) {
  const Control& control = GetParam();
  const bool is_spare = absl::string_view(control.violation).empty();
  if ((is_spare || control.is_long) && !IsLongMode()) {
    GTEST_SKIP() << "only in the long mode";
  }
  RingFault fault;
  fault.weakened = control.weakened;
  const Exploration exploration = ExploreRing(ScenarioOf(control.where), fault);
  EXPECT_EQ(exploration.violation, control.violation);
  std::cout << exploration.states << " states" << std::endl;
}

TEST(FaultTest, MissingErasureOfLateHeaderIsFound) {
  RingFault fault;
  fault.keeps_late_headers = true;
  const Exploration exploration = ExploreRing(WithSkip({{1}}, 2), fault);
  EXPECT_EQ(exploration.violation, "recovery reports a record as missing");
}

}  // namespace
}  // namespace ringlog
