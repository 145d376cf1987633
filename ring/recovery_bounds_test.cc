// The range of positions that recovery considers used, if slots, the tail or
// the cursor are damaged.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Offsets are relative to the first position. In tests that begin with
// RunOneLap(), slots 0 to 7 have been used and released.
class RecoveryBoundsTest : public ::testing::Test {
 protected:
  void RunOneLap() {
    for (int i = 0; i < 8; ++i) {
      Write("old");
      Persist();
      ring_.Release();
    }
  }
  void Write(absl::string_view body) { ASSERT_TRUE(ring_.Write(body)); }
  void Persist() {
    ring_.ReadAll();
    ring_.ring().PublishCursor(ring_.ring().take_position(), "");
  }
  void ClaimOnly() {
    ASSERT_TRUE(ring_.ring().Claim(Severity::kInfo, 1, 1).has_value());
  }
  void Die() { bytes_ = ring_.Bytes(); }

  char* SlotAt(uint64_t offset) {
    return &bytes_[SlotOffset(ring_.header(), first_ + offset)];
  }
  void SetWord(uint64_t offset, uint64_t of, SlotState state) {
    const uint64_t word = PackWord(first_ + of, state);
    std::memcpy(SlotAt(offset), &word, sizeof word);
  }
  void Fill(uint64_t offset, char value) {
    std::memset(SlotAt(offset), value, 128);
  }
  void SetLive(size_t offset, uint64_t value) {
    std::memcpy(&bytes_[ring_.header().live_offset + offset], &value,
                sizeof value);
  }
  std::vector<std::string> Recovered() {
    return RecoverBytes(bytes_, RecoverFrom::kCursor);
  }

  TestRing ring_;
  const uint64_t first_ = ring_.header().first_position;
  std::string bytes_;
};

TEST_F(RecoveryBoundsTest, WordOneLapAheadAddsNoRecord) {
  RunOneLap();
  Write("a");
  Die();
  const std::string intact = bytes_;
  for (uint64_t offset = 2; offset < 8; ++offset) {
    for (const SlotState state : {SlotState::kFree, SlotState::kFilling,
                                  SlotState::kFilled, SlotState::kSkipped}) {
      bytes_ = intact;
      SetWord(offset, offset + 8, state);
      EXPECT_THAT(Recovered(), ElementsAre("a")) << offset;
      SlotAt(offset)[20] ^= 1;  // the content does not contradict the word
      EXPECT_THAT(Recovered(), ElementsAre("a")) << offset;
    }
  }
}

TEST_F(RecoveryBoundsTest, UnfinishedRecordIsReportedAtAnyStage) {
  RunOneLap();
  const std::string before = ring_.Bytes();
  Write("a");
  ClaimOnly();
  ClaimOnly();
  ClaimOnly();
  ClaimOnly();
  Die();
  // Two of the writers had only advanced the tail.
  for (const uint64_t offset : {9u, 11u}) {
    const size_t slot = SlotOffset(ring_.header(), first_ + offset);
    bytes_.replace(slot, 128, before, slot, 128);
  }
  EXPECT_THAT(Recovered(), ElementsAre("a", "[unfinished +9..+12]"));
}

TEST_F(RecoveryBoundsTest, DamagedTailChangesNothing) {
  RunOneLap();
  Write("a");
  ClaimOnly();
  ClaimOnly();
  Die();
  for (const uint64_t tail : {uint64_t{0}, first_, first_ + 10, first_ + 14,
                              first_ + 1000, UINT64_MAX}) {
    SetLive(offsetof(RingLive, tail), tail);
    EXPECT_THAT(Recovered(), ElementsAre("a", "[unfinished +9..+10]")) << tail;
  }
}

TEST_F(RecoveryBoundsTest, DamagedLastRecordIsReported) {
  RunOneLap();
  Write("a");
  Write("b");
  Die();
  const std::string intact = bytes_;
  for (const char value : {'\0', '\xff', '\x5a'}) {
    Fill(9, value);
    EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+9]"));
  }
  std::memcpy(SlotAt(9), SlotAt(8), 128);
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+9]"));
  bytes_ = intact;
  std::memset(SlotAt(9), 0, 8);  // only the word
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+9]"));
  SetWord(9, 9 + 8, SlotState::kFilled);
  SlotAt(9)[40] ^= 1;
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+9]"));
}

TEST_F(RecoveryBoundsTest, TruncatedLastRecordIsReported) {
  Write("0");
  Write("1");
  Write("2");
  Die();
  // The first position uses slot 5, so the last slots of the file are
  // truncated.
  bytes_.resize(SlotOffset(ring_.header(), first_ + 1) + 100);
  EXPECT_THAT(Recovered(), ElementsAre("0", "[missing +1..+2]"));
}

TEST_F(RecoveryBoundsTest, ZeroedSlotOfLaterLapIsALoss) {
  RunOneLap();
  Write("a");
  Write("b");
  Write("c");
  Die();
  Fill(9, '\0');
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+9]", "c"));
  Fill(14, '\0');  // this slot had no content
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+9]", "c"));
}

TEST_F(RecoveryBoundsTest, RecordWithDamagedFirstSlotIsOneGap) {
  RunOneLap();
  Write("a");
  Write(std::string(SmallBody(3), 'x'));
  Write("b");
  Die();
  const std::string intact = bytes_;
  SlotAt(9)[40] ^= 1;
  EXPECT_THAT(Recovered(),
              ElementsAre("a", "[checksum_mismatch +9..+11]", "b"));
  Fill(9, '\0');
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+11]", "b"));
  bytes_ = intact;
  SetWord(9, 9, SlotState::kFree);
  EXPECT_THAT(Recovered(), ElementsAre("a", "[missing +9..+11]", "b"));
}

TEST_F(RecoveryBoundsTest, ReleasedRecordIsNoGapWithDamagedCursor) {
  Write("0");
  Persist();
  ring_.Release();
  Write("1");
  Write("2");
  Persist();
  ring_.Release();
  Write("3");
  Die();
  const size_t cursors =
      ring_.header().live_offset + offsetof(RingLive, cursor);
  for (size_t i = 0; i < 2; ++i) {
    bytes_[cursors + sizeof(PersistCursor) * i + 9] ^= 1;
    EXPECT_THAT(Recovered(), ElementsAre("3"));
  }
}

TEST_F(RecoveryBoundsTest, PartlyReleasedBatchIsNoGapWithDamagedCursor) {
  Write("0");
  Persist();
  ring_.Release();
  Write("1");
  Write("2");
  Write("3");
  Persist();
  Die();
  SetWord(1, 1, SlotState::kFree);
  SetWord(2, 2, SlotState::kFree);
  EXPECT_THAT(Recovered(), IsEmpty());
  const size_t cursors =
      ring_.header().live_offset + offsetof(RingLive, cursor);
  bytes_[cursors + 9] ^= 1;  // the cursor that was published second
  EXPECT_THAT(Recovered(), ElementsAre("3"));
}

TEST_F(RecoveryBoundsTest, FreeSlotAfterFilledOneIsALossWithoutCursor) {
  Write("0");
  Write("1");
  Write("2");
  Die();
  SetWord(1, 1, SlotState::kFree);
  EXPECT_THAT(Recovered(), ElementsAre("0", "[missing +1..+1]", "2"));
}

}  // namespace
}  // namespace ringlog
