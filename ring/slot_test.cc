// Tests of each transition of a slot. One thread is enough, because the tests
// compare the words before and after each call.

#include "ringlog/ring/slot.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

using SkipResult = Slots::SkipResult;
using SlotStatus = Slots::SlotStatus;

constexpr uint64_t kSlotCount = 4;
constexpr uint32_t kSlotBytes = 128;

// Returns a word as text, relative to a position: "Filling+0", "Free-1" (of the
// previous lap), "0".
std::string WordText(uint64_t word, uint64_t position) {
  if (word == 0) return "0";
  static constexpr const char* kNames[] = {
      "Free", "Filling", "Filled", "Persisting", "Skipped", "5", "6", "7"};
  const auto laps = (static_cast<int64_t>(WordPosition(word)) -
                     static_cast<int64_t>(position)) /
                    static_cast<int64_t>(kSlotCount);
  return absl::StrCat(kNames[word & kSlotStateMask], laps < 0 ? "" : "+", laps);
}

// The parameter is the first position: the least, positions that need a 33rd
// bit, and the greatest.
class SlotTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  SlotTest()
      : first_(GetParam()),
        // The second slot in the second lap.
        p_(first_ + kSlotCount + 1),
        live_(std::make_unique<RingLive>()),
        memory_(std::make_unique<Memory>()) {
    live_->tail = live_->released = first_;
    Slots::Layout layout;
    layout.live = live_.get();
    layout.slots = memory_->bytes;
    layout.slot_count = kSlotCount;
    layout.slot_bytes = kSlotBytes;
    layout.first_position = first_;
    layout.seed = absl::crc32c_t{0x5eed};
    slots_ = Slots(layout);
  }

  uint64_t Word(uint64_t position, SlotState state) {
    return PackWord(position, state);
  }
  void SetWord(uint64_t position, uint64_t word) {
    std::memcpy(slots_.SlotOf(position), &word, sizeof word);
  }
  std::string WordAt(uint64_t position) {
    return WordText(slots_.word(position), position);
  }
  // Uses and releases every slot once.
  void RunOneLap() {
    for (uint64_t p = first_; p < first_ + kSlotCount; ++p) {
      WriteOne(p, "old");
      ASSERT_TRUE(slots_.FreeSlot(p));
    }
    slots_.AdvanceReleased(first_ + kSlotCount);
  }
  void ClaimNext(uint64_t position) {
    ASSERT_EQ(slots_.AdvanceTail(1, kSlotCount), position);
    ASSERT_TRUE(slots_.ClaimSlot(position));
  }
  void WriteOne(uint64_t position, absl::string_view body) {
    ClaimNext(position);
    slots_.FillSlot(position, 0, 1, 2, "head", body);
    ASSERT_TRUE(slots_.CommitSlot(position));
  }
  bool ContentIsWiped(uint64_t position) {
    const SlotHeader header = LoadSlotHeader(slots_.SlotOf(position));
    return header.position == 0 && header.crc32c == 0 &&
           header.part_count == 0 && header.body_bytes == 0;
  }

  struct Memory {
    alignas(kCacheLineBytes) unsigned char bytes[kSlotCount * kSlotBytes] = {};
  };
  const uint64_t first_;
  const uint64_t p_;
  std::unique_ptr<RingLive> live_;
  std::unique_ptr<Memory> memory_;
  Slots slots_;
};

INSTANTIATE_TEST_SUITE_P(FirstPosition, SlotTest,
                         ::testing::Values(uint64_t{1}, (uint64_t{1} << 32) - 6,
                                           (uint64_t{1} << 32) - 1,
                                           kMaxFirstPosition));

TEST_P(SlotTest, StatesFollowInOrder) {
  EXPECT_EQ(WordAt(first_), "0");
  ClaimNext(first_);
  EXPECT_EQ(WordAt(first_), "Filling+0");
  slots_.FillSlot(first_, 0, 1, 0, "h", "b");
  EXPECT_EQ(WordAt(first_), "Filling+0") << "filling changes no word";
  EXPECT_TRUE(slots_.CommitSlot(first_));
  EXPECT_EQ(WordAt(first_), "Filled+0");
  slots_.MarkPersisting(first_);
  EXPECT_EQ(WordAt(first_), "Persisting+0");
  EXPECT_TRUE(slots_.FreeSlot(first_));
  EXPECT_EQ(WordAt(first_), "Free+0");
  slots_.AdvanceReleased(first_ + 1);
  for (uint64_t p = first_ + 1; p <= first_ + kSlotCount; ++p) ClaimNext(p);
  EXPECT_EQ(WordAt(first_ + kSlotCount), "Filling+0");
}

TEST_P(SlotTest, FillStoresContentAndChecksum) {
  ClaimNext(first_);
  slots_.FillSlot(first_, 2, 5, 3, "head", "body");
  ASSERT_TRUE(slots_.CommitSlot(first_));
  const unsigned char* const slot = slots_.SlotOf(first_);
  SlotHeader header;
  std::memcpy(&header, slot, sizeof header);
  EXPECT_EQ(header.position, first_);
  EXPECT_EQ(header.part_index, 2);
  EXPECT_EQ(header.part_count, 5);
  EXPECT_EQ(header.severity, 3);
  EXPECT_EQ(header.head_bytes, 4);
  EXPECT_EQ(header.body_bytes, 4u);
  EXPECT_EQ(header.reserved, 0);
  EXPECT_EQ(std::memcmp(slot + sizeof header, "headbody", 8), 0);
  // The checksum covers 20 bytes of header, from part_index on, and 8 of
  // payload.
  const absl::string_view covered(reinterpret_cast<const char*>(slot) + 12,
                                  20 + 8);
  EXPECT_EQ(absl::crc32c_t{header.crc32c},
            absl::ExtendCrc32c(slots_.seed(), covered));
}

// The result of each call for each word that a slot can have at the call. Omits
// calls that only the slot's owner may make in states without an owner.
struct Edge {
  const char* call;
  const char* before;
  const char* result;
  const char* after;
};
constexpr Edge kEdges[] = {
    {"Claim", "Free-1", "true", "Filling+0"},
    {"Claim", "0", "false", "0"},  // invalid in the second lap
    {"Claim", "Filling-1", "false", "Filling-1"},
    {"Claim", "Filled-1", "false", "Filled-1"},
    {"Claim", "Persisting-1", "false", "Persisting-1"},
    {"Claim", "Skipped-1", "false", "Skipped+0"},  // the mark advances
    {"Claim", "Free+0", "false",
     "Free+0"},  // the flusher has skipped the position
    {"Claim", "Filling+0", "false", "Filling+0"},
    {"Claim", "Filled+0", "false", "Filled+0"},
    {"Claim", "Persisting+0", "false", "Persisting+0"},
    {"Claim", "Skipped+0", "false", "Skipped+0"},
    {"Claim", "Free+1", "false", "Free+1"},
    {"Claim", "Filling+1", "false", "Filling+1"},
    {"Commit", "Filling+0", "true", "Filled+0"},
    {"Commit", "Skipped+0", "false", "Free+0"},
    {"Commit", "Skipped+1", "false", "Free+1"},  // the mark had advanced
    {"Commit", "Skipped+2", "false", "Free+2"},
    {"TrySkip", "Free-1", "position skipped", "Free+0"},
    {"TrySkip", "Filling+0", "record skipped", "Skipped+0"},
    {"TrySkip", "Filled+0", "not pending", "Filled+0"},
    {"TrySkip", "Persisting+0", "not pending", "Persisting+0"},
    {"TrySkip", "Skipped-1", "not pending", "Skipped-1"},
    {"TrySkip", "Skipped+0", "not pending", "Skipped+0"},
    {"TrySkip", "Free+0", "not pending", "Free+0"},
    {"TrySkip", "5+0", "record skipped",
     "Skipped+0"},  // other code wrote into the mapping
    {"TrySkip", "7+1", "record skipped", "Skipped+0"},
    {"Free", "Filled+0", "true", "Free+0"},
    {"Free", "Persisting+0", "true", "Free+0"},
    {"Free", "Filling+0", "false", "Filling+0"},
    {"Free", "Skipped+0", "false", "Skipped+0"},
    {"Free", "Free+0", "false", "Free+0"},
    {"Free", "Filled+1", "false", "Filled+1"},
    {"Free", "Filled-1", "false", "Filled-1"},
    {"Evict", "Filled+0", "true", "Free+0"},
    {"Evict", "Filled-1", "false", "Filled-1"},
    {"Evict", "Filled+1", "false", "Filled+1"},
    {"Evict", "Filling+0", "false", "Filling+0"},
    {"Evict", "Persisting+0", "false", "Persisting+0"},
    {"Evict", "Skipped+0", "false", "Skipped+0"},
    {"Evict", "Free+0", "false", "Free+0"},
    {"Examine", "Free-1", "pending", "Free-1"},
    {"Examine", "Filling-1", "pending", "Filling-1"},
    {"Examine", "Filling+0", "pending", "Filling+0"},
    {"Examine", "Filled+0", "filled", "Filled+0"},
    {"Examine", "Persisting+0", "persisting", "Persisting+0"},
    {"Examine", "Free+0", "nothing", "Free+0"},
    {"Examine", "Skipped+0", "nothing", "Skipped+0"},
    {"Examine", "Skipped-1", "nothing", "Skipped+0"},  // the mark advances
};

uint64_t WordOf(const std::string& text, uint64_t position) {
  if (text == "0") return 0;
  for (uint64_t state = 0; state <= kSlotStateMask; ++state) {
    for (int lap = -2; lap <= 2; ++lap) {
      const uint64_t word = (position + static_cast<uint64_t>(lap) * kSlotCount)
                                << kSlotStateBits |
                            state;
      if (WordText(word, position) == text) return word;
    }
  }
  ADD_FAILURE() << text;
  return 0;
}

std::string SkipResultName(SkipResult result) {
  switch (result) {
    case SkipResult::kRecordSkipped:
      return "record skipped";
    case SkipResult::kPositionSkipped:
      return "position skipped";
    case SkipResult::kNotPending:
      return "not pending";
  }
  return "?";
}

std::string StatusName(SlotStatus status) {
  switch (status) {
    case SlotStatus::kNotClaimed:
      return "not claimed";
    case SlotStatus::kPending:
      return "pending";
    case SlotStatus::kFilled:
      return "filled";
    case SlotStatus::kPersisting:
      return "persisting";
    case SlotStatus::kNothing:
      return "nothing";
  }
  return "?";
}

std::string Call(const std::string& call, uint64_t p, Slots& slots) {
  int severity;
  if (call == "Claim") return slots.ClaimSlot(p) ? "true" : "false";
  if (call == "Commit") return slots.CommitSlot(p) ? "true" : "false";
  if (call == "Free") return slots.FreeSlot(p) ? "true" : "false";
  if (call == "Evict") return slots.EvictSlot(p, &severity) ? "true" : "false";
  if (call == "TrySkip") return SkipResultName(slots.TrySkip(p));
  return StatusName(slots.ExamineSlot(p));
}

TEST_P(SlotTest, EveryTransitionMatchesTable) {
  live_->tail = p_ + 3;
  live_->released = p_;
  for (const Edge& edge : kEdges) {
    SetWord(p_, WordOf(edge.before, p_));
    EXPECT_EQ(Call(edge.call, p_, slots_), edge.result)
        << edge.call << " of " << edge.before;
    EXPECT_EQ(WordAt(p_), edge.after) << edge.call << " of " << edge.before;
  }
}

TEST_P(SlotTest, FirstLapClaimsOnlyUnusedSlots) {
  ASSERT_EQ(slots_.AdvanceTail(1, kSlotCount), first_);
  SetWord(first_, Word(first_, SlotState::kFilled));
  EXPECT_FALSE(slots_.ClaimSlot(first_));
  SetWord(first_, 0);
  EXPECT_TRUE(slots_.ClaimSlot(first_));
}

TEST_P(SlotTest, ExaminationStopsAtTail) {
  EXPECT_EQ(slots_.ExamineSlot(first_), SlotStatus::kNotClaimed);
  ASSERT_EQ(slots_.AdvanceTail(2, kSlotCount), first_);
  EXPECT_EQ(slots_.ExamineSlot(first_ + 1), SlotStatus::kPending);
  EXPECT_EQ(slots_.ExamineSlot(first_ + 2), SlotStatus::kNotClaimed);
}

// ---- The tail ----

TEST_P(SlotTest, TailStopsAtLimit) {
  EXPECT_EQ(slots_.AdvanceTail(3, kSlotCount), first_);
  EXPECT_EQ(slots_.AdvanceTail(2, kSlotCount), std::nullopt);
  EXPECT_EQ(slots_.AdvanceTail(1, 3), std::nullopt);
  EXPECT_EQ(slots_.AdvanceTail(1, kSlotCount), first_ + 3);
  EXPECT_EQ(slots_.AdvanceTail(1, kSlotCount), std::nullopt);
  slots_.AdvanceReleased(first_ + 1);
  EXPECT_EQ(slots_.AdvanceTail(1, kSlotCount), first_ + 4);
  EXPECT_EQ(slots_.tail(), first_ + 5);
}

TEST_P(SlotTest, ReleasedAdvancesOnceForRivals) {
  EXPECT_TRUE(slots_.AdvanceReleasedFrom(first_));
  EXPECT_FALSE(slots_.AdvanceReleasedFrom(first_));
  EXPECT_EQ(slots_.released(), first_ + 1);
}

// ---- Stuck writers ----

TEST_P(SlotTest, LateCommitFailsAndFreesSlot) {
  ClaimNext(first_);
  slots_.FillSlot(first_, 0, 1, 0, "h", "late");
  ASSERT_EQ(slots_.TrySkip(first_), SkipResult::kRecordSkipped);
  EXPECT_EQ(slots_.ExamineSlot(first_), SlotStatus::kNothing);
  EXPECT_FALSE(slots_.CommitSlot(first_));
  EXPECT_EQ(WordAt(first_), "Free+0");
  EXPECT_TRUE(ContentIsWiped(first_)) << "recovery could take it for a record";
}

TEST_P(SlotTest, SkippedSlotIsNotReusedBeforeItsWriter) {
  ClaimNext(first_);
  ASSERT_EQ(slots_.TrySkip(first_), SkipResult::kRecordSkipped);
  EXPECT_FALSE(slots_.FreeSlot(first_));
  for (uint64_t lap = 1; lap <= 5; ++lap) {
    const uint64_t p = first_ + lap * kSlotCount;
    live_->tail = p + 1;
    EXPECT_FALSE(slots_.ClaimSlot(p));
    EXPECT_EQ(slots_.ExamineSlot(p), SlotStatus::kNothing)
        << "the flusher need not wait for the writer";
    EXPECT_EQ(WordAt(p), "Skipped+0");
  }
  EXPECT_FALSE(slots_.CommitSlot(first_));
  EXPECT_EQ(WordAt(first_), "Free+5") << "free for the next lap";
  EXPECT_TRUE(slots_.ClaimSlot(first_ + 6 * kSlotCount));
}

TEST_P(SlotTest, ExaminationAdvancesMarkBeforeClaim) {
  ClaimNext(first_);
  ASSERT_EQ(slots_.TrySkip(first_), SkipResult::kRecordSkipped);
  const uint64_t next = first_ + kSlotCount;
  live_->tail = next + 1;
  EXPECT_EQ(slots_.ExamineSlot(next), SlotStatus::kNothing);
  EXPECT_FALSE(slots_.ClaimSlot(next))
      << "the flusher has examined the slot before";
  EXPECT_EQ(WordAt(next), "Skipped+0");
}

TEST_P(SlotTest, SkippedPositionCannotBeClaimed) {
  RunOneLap();
  const uint64_t p = first_ + kSlotCount;
  ASSERT_EQ(slots_.AdvanceTail(1, kSlotCount), p);
  EXPECT_EQ(slots_.TrySkip(p), SkipResult::kPositionSkipped);
  EXPECT_FALSE(slots_.ClaimSlot(p)) << "the next lap may have claimed the slot";
  slots_.AdvanceReleased(p + 1);
  EXPECT_TRUE(slots_.ClaimSlot(p + kSlotCount));
}

TEST_P(SlotTest, CommittedSlotIsNotSkipped) {
  WriteOne(first_, "in time");
  EXPECT_EQ(slots_.TrySkip(first_), SkipResult::kNotPending);
  EXPECT_EQ(slots_.ExamineSlot(first_), SlotStatus::kFilled);
}

TEST_P(SlotTest, ReleasedPositionIsNotSkipped) {
  live_->tail = p_ + kSlotCount + 1;
  live_->released = p_ + 1;
  SetWord(p_, Word(p_ + kSlotCount, SlotState::kFilling));
  EXPECT_EQ(slots_.TrySkip(p_), SkipResult::kNotPending);
  EXPECT_EQ(WordAt(p_), "Filling+1") << "the slot belongs to the next lap";
}

// ---- Evicting the oldest ----

TEST_P(SlotTest, EvictReturnsSeverityOfFirstPart) {
  struct {
    uint16_t part_index, part_count;
    uint8_t severity;
    int expected;
  } const cases[] = {
      {0, 1, 0, 0},  {0, 1, 3, 3},  {0, 2, 1, 1},    {1, 2, 1, -1},
      {0, 0, 0, -1}, {0, 1, 4, -1}, {0, 1, 255, -1},
  };
  uint64_t p = first_;
  for (const auto& c : cases) {
    ClaimNext(p);
    slots_.FillSlot(p, c.part_index, c.part_count, c.severity, "h", "b");
    ASSERT_TRUE(slots_.CommitSlot(p));
    int severity = 99;
    EXPECT_TRUE(slots_.EvictSlot(p, &severity));
    EXPECT_EQ(severity, c.expected) << "part " << c.part_index;
    EXPECT_EQ(WordAt(p), "Free+0");
    ASSERT_TRUE(slots_.AdvanceReleasedFrom(p));
    ++p;
  }
}

// ---- Resuming after a death ----

TEST_P(SlotTest, ResumeKeepsCommittedAndFreesRest) {
  RunOneLap();
  const uint64_t begin = first_ + kSlotCount;
  WriteOne(begin, "filled");
  ClaimNext(begin + 1);  // died before its commit
  WriteOne(begin + 2, "persisting");
  slots_.MarkPersisting(begin + 2);
  slots_.ResumeAt(begin, begin + 3);
  EXPECT_EQ(WordAt(begin), "Filled+0");
  EXPECT_EQ(WordAt(begin + 1), "Free+0");
  EXPECT_EQ(WordAt(begin + 2), "Filled+0");
  EXPECT_EQ(WordAt(begin + 3), "Free-1");
  EXPECT_EQ(slots_.tail(), begin + 3);
  EXPECT_EQ(slots_.released(), begin);
  ClaimNext(begin + 3);
  EXPECT_EQ(slots_.AdvanceTail(1, kSlotCount), std::nullopt);
}

TEST_P(SlotTest, ResumeFreesDamagedWords) {
  for (uint64_t i = 0; i < kSlotCount; ++i) SetWord(i, ~uint64_t{0} - i);
  const uint64_t tail = first_ + 2 * kSlotCount;
  slots_.ResumeAt(tail, tail);
  for (uint64_t p = tail; p < tail + kSlotCount; ++p) {
    EXPECT_EQ(WordAt(p), "Free-1");
    WriteOne(p, "x");
  }
}

TEST_P(SlotTest, ResumeInFirstLapKeepsUnusedSlots) {
  WriteOne(first_, "x");
  slots_.ResumeAt(first_, first_ + 1);
  EXPECT_EQ(WordAt(first_), "Filled+0");
  for (uint64_t p = first_ + 1; p < first_ + kSlotCount; ++p) {
    EXPECT_EQ(slots_.word(p), 0u);
    ClaimNext(p);
  }
}

}  // namespace
}  // namespace ringlog
