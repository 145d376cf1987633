// Tests of recovery. The class Ring makes the rings. The tests damage a copy of
// their bytes.

#include "ringlog/ring/recovery.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Offsets in these tests are relative to the first position.
class RecoveryTest : public ::testing::Test {
 protected:
  // ---- Actions of the process ----
  void Write(absl::string_view body) { ASSERT_TRUE(ring_.Write(body)); }
  void WriteEach(const std::vector<std::string>& bodies) {
    for (const std::string& body : bodies) Write(body);
  }
  SlotRange ClaimOnly(size_t slots = 1) {
    const auto claim = ring_.ring().Claim(Severity::kInfo, 1, SmallBody(slots));
    EXPECT_TRUE(claim.has_value());
    return *claim;
  }
  // Takes `n` records and publishes that they are persisted.
  void Persist(int n) {
    for (int i = 0; i < n; ++i) ASSERT_TRUE(ring_.Read().has_value());
    ring_.ring().PublishCursor(ring_.ring().take_position(), "");
  }
  void RunLaps(int laps) {
    for (int i = 0; i < laps * 8; ++i) {
      Write("old");
      Persist(1);
      ring_.Release();
    }
    first_ = ring_.ring().tail_position();
  }
  void Die() { bytes_ = ring_.Bytes(); }

  // ---- Damage to the file ----
  char* SlotAt(uint64_t offset) {
    return &bytes_[SlotOffset(ring_.header(), first_ + offset)];
  }
  void SetWord(uint64_t offset, uint64_t word) {
    std::memcpy(SlotAt(offset), &word, sizeof word);
  }
  void SetState(uint64_t offset, SlotState state) {
    SetWord(offset, PackWord(first_ + offset, state));
  }
  void FlipByte(uint64_t offset, size_t byte) {
    SlotAt(offset)[byte] = static_cast<char>(~SlotAt(offset)[byte]);
  }
  void ZeroSlot(uint64_t offset) { std::memset(SlotAt(offset), 0, 128); }

  std::vector<std::string> Everything() {
    return RecoverBytes(bytes_, RecoverFrom::kEverything);
  }
  std::vector<std::string> AfterCursor() {
    return RecoverBytes(bytes_, RecoverFrom::kCursor);
  }

  TestRing ring_;
  uint64_t first_ = ring_.header().first_position;
  std::string bytes_;
};

TEST_F(RecoveryTest, UnusedRingIsEmpty) {
  Die();
  EXPECT_THAT(Everything(), IsEmpty());
  const auto ring = RecoverRing(bytes_, RecoverFrom::kEverything);
  EXPECT_EQ(ring->end_position, first_);
  EXPECT_EQ(ring->slots.never_used, 8u);
}

TEST_F(RecoveryTest, ReturnsCommittedRecordsInOrder) {
  const std::string three(SmallBody(3), '3');
  WriteEach({"a", "", three, "b"});
  Die();
  EXPECT_THAT(Everything(), ElementsAre("a", "", three, "b"));
}

TEST_F(RecoveryTest, DoesNotChangeTheBytes) {
  WriteEach({"a", "b"});
  ClaimOnly();
  Die();
  FlipByte(1, 40);
  const std::string before = bytes_;
  Everything();
  EXPECT_EQ(bytes_, before);
}

TEST_F(RecoveryTest, DoesNotReplayBelowCursor) {
  WriteEach({"a", "b", "c"});
  ring_.Read();
  ring_.Read();
  Die();
  EXPECT_THAT(AfterCursor(), ElementsAre("a", "b", "c"));
  ring_.ring().PublishCursor(ring_.ring().take_position() - 1, "");
  Die();
  EXPECT_THAT(AfterCursor(), ElementsAre("b", "c"));
  EXPECT_THAT(Everything(), ElementsAre("a", "b", "c"));
}

TEST_F(RecoveryTest, FullRingIsReturnedAcrossLapEnd) {
  RunLaps(3);
  WriteEach({"0", "1", "2", "3", "4"});
  Persist(5);
  ring_.Release();
  first_ += 5;
  const std::string four(SmallBody(4), '4');
  WriteEach({"5", "6", four, "7", "8"});
  Die();
  EXPECT_THAT(AfterCursor(), ElementsAre("5", "6", four, "7", "8"));
}

// ---- Unfinished records ----

TEST_F(RecoveryTest, TornSlotIsReportedNotReturned) {
  Write("a");
  ClaimOnly();
  Write("b");
  Die();
  EXPECT_THAT(Everything(), ElementsAre("a", "[unfinished +1..+1]", "b"));
}

TEST_F(RecoveryTest, ReadsRecordsAfterGaps) {
  Write("a");
  ClaimOnly();
  Write("b");
  ClaimOnly(2);
  Write("c");
  ClaimOnly();
  Die();
  EXPECT_THAT(Everything(),
              ElementsAre("a", "[unfinished +1..+1]", "b",
                          "[unfinished +3..+4]", "c", "[unfinished +6..+6]"));
}

TEST_F(RecoveryTest, UnfinishedRecordIsNotALoss) {
  ClaimOnly();
  Die();
  const auto ring = RecoverRing(bytes_, RecoverFrom::kCursor);
  ASSERT_EQ(ring->gaps.size(), 1u);
  EXPECT_FALSE(IsLoss(ring->gaps[0].cause));
}

TEST_F(RecoveryTest, TornSlotDoesNotReplayOldRecord) {
  RunLaps(1);
  Write("new");
  ClaimOnly();
  Die();
  EXPECT_THAT(AfterCursor(), ElementsAre("new", "[unfinished +9..+9]"));
}

// Writers may commit the parts in any order, but part 0 last.
TEST_F(RecoveryTest, UnfinishedRecordIsOneGap) {
  for (const std::vector<uint64_t>& filling :
       std::vector<std::vector<uint64_t>>{{1, 2, 3}, {1, 3}, {1, 2}, {1}}) {
    TestRing ring;
    for (const auto& body :
         {std::string("a"), std::string(SmallBody(3), 'x'), std::string("b")}) {
      ASSERT_TRUE(ring.Write(body));
    }
    std::string bytes = ring.Bytes();
    for (const uint64_t offset : filling) {
      const uint64_t position = ring.header().first_position + offset;
      const uint64_t word = PackWord(position, SlotState::kFilling);
      std::memcpy(&bytes[SlotOffset(ring.header(), position)], &word, 8);
    }
    EXPECT_THAT(RecoverBytes(bytes),
                ElementsAre("a", "[unfinished +1..+3]", "b"));
  }
}

TEST_F(RecoveryTest, UnclaimedPositionIsUnfinished) {
  RunLaps(1);
  const std::string before = ring_.Bytes();
  WriteEach({"a", "never claimed its slot", "b"});
  Die();
  const size_t slot = SlotOffset(ring_.header(), first_ + 1);
  bytes_.replace(slot, 128, before, slot, 128);
  EXPECT_THAT(AfterCursor(), ElementsAre("a", "[unfinished +9..+9]", "b"));
}

TEST_F(RecoveryTest, ContentWithWordOfLastLapIsALoss) {
  RunLaps(1);
  WriteEach({"a", "its word went back", "b"});
  Die();
  for (const SlotState state :
       {SlotState::kFree, SlotState::kFilling, SlotState::kSkipped}) {
    SetWord(1, PackWord(first_ + 1 - 8, state));
    EXPECT_THAT(AfterCursor(), ElementsAre("a", "[missing +9..+9]", "b"));
  }
}

TEST_F(RecoveryTest, AbandonedClaimIsNoRecordAndNoGap) {
  Write("a");
  ring_.ring().Abandon(ClaimOnly(2));
  Write("b");
  Die();
  EXPECT_THAT(Everything(), ElementsAre("a", "b"));
}

TEST_F(RecoveryTest, SkippedSlotIsReportedNotReturned) {
  Write("a");
  const SlotRange stuck = ClaimOnly();
  Write("b");
  ASSERT_EQ(ring_.Read(), "a");
  ASSERT_TRUE(ring_.ring().Skip(stuck.end()).has_value());
  Die();
  EXPECT_THAT(Everything(), ElementsAre("a", "[unfinished +1..+1]", "b"));
  ring_.ring().Commit(stuck, Severity::kInfo, "h", "late");
  Die();
  EXPECT_THAT(Everything(), ElementsAre("a", "b"));
}

// ---- Damage ----

TEST_F(RecoveryTest, ChecksumMismatchCostsOneRecord) {
  WriteEach({"a", "b", "c"});
  Die();
  FlipByte(1, 33);
  EXPECT_THAT(Everything(),
              ElementsAre("a", "[checksum_mismatch +1..+1]", "c"));
}

TEST_F(RecoveryTest, RecordMissingAPartIsOneGap) {
  for (uint64_t part = 1; part < 3; ++part) {
    TestRing ring;
    for (const auto& body :
         {std::string("a"), std::string(SmallBody(3), 'x'), std::string("b")}) {
      ASSERT_TRUE(ring.Write(body));
    }
    std::string bytes = ring.Bytes();
    const size_t slot =
        SlotOffset(ring.header(), ring.header().first_position + 1 + part);
    std::string damaged = bytes;
    damaged[slot + 32] ^= 1;
    EXPECT_THAT(RecoverBytes(damaged),
                ElementsAre("a", "[checksum_mismatch +1..+3]", "b"));
    damaged = bytes;
    std::memset(&damaged[slot], 0, 128);
    EXPECT_THAT(RecoverBytes(damaged),
                ElementsAre("a", "[missing +1..+3]", "b"));
  }
}

TEST_F(RecoveryTest, DamagedWordIsALoss) {
  Write("a");
  Write("b");
  Die();
  SetWord(1, UINT64_MAX);
  EXPECT_THAT(Everything(), ElementsAre("a", "[missing +1..+1]"));
}

TEST_F(RecoveryTest, InvalidWordOfFreeSlotAddsNoRecord) {
  RunLaps(1);
  WriteEach({"a", "b"});
  Die();
  // Positions of slot 5 that are near and far.
  for (const uint64_t laps : {uint64_t{3}, uint64_t{1} << 40}) {
    for (const SlotState state :
         {SlotState::kFree, SlotState::kFilling, SlotState::kSkipped}) {
      SetWord(5, PackWord(first_ + 5 + laps * 8, state));
      const auto ring = RecoverRing(bytes_, RecoverFrom::kCursor);
      EXPECT_EQ(ring->records.size(), 2u);
      EXPECT_LE(ring->end_position, first_ + 8);
    }
  }
}

TEST_F(RecoveryTest, SlotsOfAnotherRingAreNotReturned) {
  TestRing other;
  other.Write("other's");
  other.Write("other's");
  const std::string theirs = other.Bytes();
  WriteEach({"a", "b", "c"});
  Die();
  const size_t slot = SlotOffset(ring_.header(), first_ + 1);
  bytes_.replace(slot, 128, theirs, slot, 128);
  EXPECT_THAT(Everything(),
              ElementsAre("a", "[checksum_mismatch +1..+1]", "c"));
}

TEST_F(RecoveryTest, CopiedSlotIsNotReturnedTwice) {
  WriteEach({"a", "b", "c"});
  Die();
  std::memcpy(SlotAt(1), SlotAt(0), 128);
  EXPECT_THAT(Everything(), ElementsAre("a", "[missing +1..+1]", "c"));
}

TEST_F(RecoveryTest, IgnoresDamagedLivePage) {
  WriteEach({"a", "b"});
  Die();
  for (const char fill : {'\0', '\xff', '\x5a'}) {
    std::memset(&bytes_[ring_.header().live_offset], fill, sizeof(RingLive));
    EXPECT_THAT(Everything(), ElementsAre("a", "b"));
    EXPECT_THAT(AfterCursor(), ElementsAre("a", "b"));
  }
}

TEST_F(RecoveryTest, DamagedCursorFallsBackToPrevious) {
  WriteEach({"a", "b", "c"});
  Persist(1);
  Persist(1);
  Die();
  EXPECT_THAT(AfterCursor(), ElementsAre("c"));
  RingLive live;
  std::memcpy(&live, &bytes_[ring_.header().live_offset], sizeof live);
  const size_t cursors =
      ring_.header().live_offset + offsetof(RingLive, cursor);
  bytes_[cursors + sizeof(PersistCursor) * live.cursor_selector] ^= 1;
  EXPECT_THAT(AfterCursor(), ElementsAre("b", "c"));
}

TEST_F(RecoveryTest, BothHeadersDamagedIsAnError) {
  Write("a");
  Die();
  bytes_[20] ^= 1;
  EXPECT_THAT(Everything(), ElementsAre("a"));
  bytes_[kRingHeaderCopyOffset + 20] ^= 1;
  EXPECT_EQ(RecoverRing(bytes_, RecoverFrom::kEverything).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(RecoveryTest, RecoversUnalignedCopy) {
  WriteEach({"a", "b"});
  ClaimOnly();
  Write("c");
  Die();
  // The copy has no file, no process and no aligned address.
  const std::string moved = "x" + bytes_;
  EXPECT_THAT(RecoverBytes(absl::string_view(moved).substr(1)),
              ElementsAre("a", "b", "[unfinished +2..+2]", "c"));
}

TEST_F(RecoveryTest, SlotCountsMatchSlots) {
  WriteEach({"persisting", "filled", "damaged"});
  ClaimOnly();
  ring_.Read();
  Die();
  FlipByte(2, 32);
  const auto ring = RecoverRing(bytes_, RecoverFrom::kEverything);
  EXPECT_EQ(ring->slots.persisting, 1u);
  EXPECT_EQ(ring->slots.filled, 1u);
  EXPECT_EQ(ring->slots.damaged, 1u);
  EXPECT_EQ(ring->slots.filling, 1u);
  EXPECT_EQ(ring->slots.never_used, 4u);
}

// ---- Truncated files ----

TEST_F(RecoveryTest, TruncatedFileReturnsRest) {
  RunLaps(2);
  WriteEach({"0", "1", "2", "3", "4", "5", "6", "7"});
  Die();
  const size_t slots_offset = ring_.header().slots_offset;
  for (size_t size = 0; size <= bytes_.size();
       size += size < 8192 || size >= slots_offset ? 1 : 509) {
    const absl::string_view truncated =
        absl::string_view(bytes_).substr(0, size);
    const auto ring = RecoverRing(truncated, RecoverFrom::kCursor);
    if (size < sizeof(RingHeader)) {
      EXPECT_FALSE(ring.ok()) << size;
      continue;
    }
    ASSERT_TRUE(ring.ok()) << size << ": " << ring.status();
    const uint64_t intact =
        size < slots_offset ? 0 : (size - slots_offset) / 128;
    EXPECT_EQ(ring->records.size(), intact) << size;
    EXPECT_EQ(ring->slots.absent, 8 - intact) << size;
    for (const RecoveredRecord& record : ring->records) {
      EXPECT_EQ(record.body, absl::StrCat(record.position - first_));
    }
  }
}

TEST_F(RecoveryTest, TruncatedSlotsAreALoss) {
  WriteEach({"0", "1", "2", "3"});
  Die();
  // Position p uses slot p modulo eight, so position +3 uses slot 0.
  bytes_.resize(SlotOffset(ring_.header(), first_) + 64);
  EXPECT_THAT(Everything(), ElementsAre("[missing +0..+2]", "3"));
}

}  // namespace
}  // namespace ringlog
