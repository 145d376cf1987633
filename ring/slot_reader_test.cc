// Every combination of faults in a slot, compared with the table of
// ring/FORMAT.md ("What a slot means"), which Expected() repeats.

#include "ringlog/ring/slot_reader.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

constexpr uint64_t kSlotCount = 8;
constexpr uint32_t kSlotBytes = 128;
constexpr uint32_t kHeadBytes = 40;
constexpr uint64_t kPosition = (uint64_t{1} << 32) + 3;
constexpr uint64_t kIndex = 3;
const absl::crc32c_t kSeed{0x5eed};

SlotGeometry Geometry() { return {kSlotCount, kSlotBytes, kHeadBytes}; }

// Returns the bytes of a slot, with a matching checksum.
std::string MakeSlot(SlotHeader header, absl::crc32c_t seed = kSeed) {
  std::string slot(kSlotBytes, '\x5a');
  const size_t payload =
      std::min<size_t>(size_t{header.head_bytes} + header.body_bytes,
                       kSlotBytes - sizeof header);
  std::memcpy(&slot[0], &header, sizeof header);
  // Computed from the description in ring/FORMAT.md, without SlotChecksum().
  header.crc32c = static_cast<uint32_t>(absl::ExtendCrc32c(
      seed, absl::string_view(slot).substr(12, 20 + payload)));
  std::memcpy(&slot[0], &header, sizeof header);
  return slot;
}

SlotHeader Header(uint64_t position, SlotState state, uint16_t part_index = 0,
                  uint16_t part_count = 1) {
  SlotHeader header = {};
  header.word = position << 3 | static_cast<uint64_t>(state);
  header.position = position;
  header.part_index = part_index;
  header.part_count = part_count;
  header.head_bytes = 4;
  header.body_bytes = 6;
  return header;
}

ClassifiedSlot Classify(absl::string_view slot, uint64_t index = kIndex) {
  return ClassifySlot(slot, index, Geometry(), kSeed);
}

std::string Name(SlotClass c) {
  static constexpr const char* kNames[] = {
      "never used", "free",    "filling",    "part",
      "abandoned",  "skipped", "mismatched", "implausible"};
  return kNames[static_cast<size_t>(c)];
}

// ---- Every combination ----

enum Position { kZero, kMatches, kOfOtherSlot };
enum Lengths { kInBounds, kHeadTooLong, kBodyTooLong, kBodyHuge };
enum Checksum { kChecksumMatches, kChecksumDiffers, kOfOtherRing };
enum Copy { kCopyMatches, kCopyOfOtherLap };
struct Parts {
  uint16_t index, count;
  const char* expected;  // if everything else is valid
};
constexpr Parts kParts[] = {
    {0, 0, "abandoned"},  {0, 1, "part"},       {0, 8, "part"},
    {7, 8, "part"},       {1, 1, "mismatched"}, {8, 8, "mismatched"},
    {1, 0, "mismatched"}, {0, 9, "mismatched"}, {65535, 65535, "mismatched"},
};

// The table. The first row that applies counts.
std::string Expected(int state, Position position, Lengths lengths,
                     Checksum checksum, Copy copy, const Parts& parts) {
  if (position == kZero && state == 0) return "never used";
  // Position 0 belongs to slot 0; this is slot 3.
  if (position != kMatches) return "implausible";
  if (state == 0) return "free";
  if (state == 1) return "filling";
  if (state == 4) return "skipped";
  if (state >= 5) return "implausible";
  if (lengths != kInBounds) return "mismatched";
  if (checksum != kChecksumMatches) return "mismatched";
  if (copy != kCopyMatches) return "mismatched";
  return parts.expected;
}

std::string MakeCombination(int state, Position position, Lengths lengths,
                            Checksum checksum, Copy copy, const Parts& parts) {
  const uint64_t positions[] = {0, kPosition, kPosition + 1};
  SlotHeader header =
      Header(positions[position], SlotState{}, parts.index, parts.count);
  header.word |= static_cast<uint64_t>(state);
  if (copy == kCopyOfOtherLap) header.position = kPosition + kSlotCount;
  if (lengths == kHeadTooLong) header.head_bytes = kHeadBytes + 1;
  if (lengths == kBodyTooLong) {
    header.body_bytes = kSlotBytes - 32 - header.head_bytes + 1;
  }
  if (lengths == kBodyHuge) header.body_bytes = UINT32_MAX;
  std::string slot = MakeSlot(
      header, checksum == kOfOtherRing ? absl::crc32c_t{0x07e4} : kSeed);
  if (checksum == kChecksumDiffers) slot[40] ^= 1;
  return slot;
}

TEST(SlotReaderTest, EveryCombinationMatchesTable) {
  int combinations = 0;
  for (int state = 0; state < 8; ++state) {
    for (Position position : {kZero, kMatches, kOfOtherSlot}) {
      for (Lengths lengths :
           {kInBounds, kHeadTooLong, kBodyTooLong, kBodyHuge}) {
        for (Checksum checksum :
             {kChecksumMatches, kChecksumDiffers, kOfOtherRing}) {
          for (Copy copy : {kCopyMatches, kCopyOfOtherLap}) {
            for (const Parts& parts : kParts) {
              ++combinations;
              const std::string slot = MakeCombination(state, position, lengths,
                                                       checksum, copy, parts);
              EXPECT_EQ(
                  Name(Classify(slot).slot_class),
                  Expected(state, position, lengths, checksum, copy, parts))
                  << "state " << state << ", position " << position
                  << ", lengths " << lengths << ", checksum " << checksum
                  << ", copy " << copy << ", part " << parts.index << " of "
                  << parts.count;
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(combinations, 8 * 3 * 4 * 3 * 2 * 9);
}

TEST(SlotReaderTest, ReturnsOnlyValidatedFields) {
  for (int state = 0; state < 8; ++state) {
    for (const Parts& parts : kParts) {
      const ClassifiedSlot slot = Classify(MakeCombination(
          state, kMatches, kInBounds, kChecksumMatches, kCopyMatches, parts));
      const bool is_part = slot.slot_class == SlotClass::kPart;
      EXPECT_EQ(slot.payload.size(), is_part ? 10u : 0u);
      EXPECT_EQ(
          slot.header.position,
          is_part || slot.slot_class == SlotClass::kAbandoned ? kPosition : 0u);
    }
  }
}

TEST(SlotReaderTest, EveryFlippedBitIsDetected) {
  const std::string intact = MakeSlot(Header(kPosition, SlotState::kFilled));
  ASSERT_EQ(Classify(intact).slot_class, SlotClass::kPart);
  // From the checksum to the end of the payload.
  for (size_t bit = 64; bit < 64 + size_t{34} * 8; ++bit) {
    std::string slot = intact;
    slot[bit / 8] = static_cast<char>(slot[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(Classify(slot).slot_class, SlotClass::kMismatched) << bit;
  }
}

TEST(SlotReaderTest, IgnoresBytesAfterPayload) {
  const std::string intact = MakeSlot(Header(kPosition, SlotState::kFilled));
  for (size_t i = 32 + 10; i < intact.size(); ++i) {
    std::string slot = intact;
    slot[i] = static_cast<char>(~slot[i]);
    EXPECT_EQ(Classify(slot).slot_class, SlotClass::kPart) << i;
  }
}

TEST(SlotReaderTest, TruncatedSlotIsMismatched) {
  const std::string intact = MakeSlot(Header(kPosition, SlotState::kFilled));
  for (size_t size = 8; size < 32 + 10; ++size) {
    EXPECT_EQ(Classify(intact.substr(0, size)).slot_class,
              SlotClass::kMismatched)
        << size;
  }
  EXPECT_EQ(Classify(intact.substr(0, 32 + 10)).slot_class, SlotClass::kPart);
}

TEST(SlotReaderTest, ContentPositionIgnoresWord) {
  std::string slot = MakeSlot(Header(kPosition, SlotState::kFilled));
  for (const uint64_t word : {uint64_t{0}, UINT64_MAX, kPosition << 3}) {
    std::memcpy(&slot[0], &word, sizeof word);
    EXPECT_EQ(ContentPosition(slot, Geometry(), kSeed), kPosition);
  }
  slot[40] ^= 1;
  EXPECT_EQ(ContentPosition(slot, Geometry(), kSeed), std::nullopt);
  EXPECT_EQ(ContentPosition(std::string(kSlotBytes, '\0'), Geometry(), kSeed),
            std::nullopt);
}

// ---- Records of several slots ----

class AssembleRecordTest : public ::testing::Test {
 protected:
  // Writes a record of `count` slots from kPosition on, with bodies "0", "1",
  // ...
  void Put(uint16_t count) {
    for (uint16_t i = 0; i < count; ++i) PutPart(i, i, count);
  }
  void PutPart(uint64_t offset, uint16_t index, uint16_t count,
               SlotState state = SlotState::kFilled) {
    SlotHeader header = Header(kPosition + offset, state, index, count);
    header.head_bytes = index == 0 ? 4 : 0;
    header.body_bytes = 1;
    std::string slot(kSlotBytes, '\0');
    std::memcpy(&slot[0], &header, sizeof header);
    slot.replace(32, 5, absl::StrCat(index == 0 ? "head" : "", offset, "    "));
    header.crc32c = static_cast<uint32_t>(absl::ExtendCrc32c(
        kSeed, absl::string_view(slot).substr(
                   12, 20 + size_t{header.head_bytes} + header.body_bytes)));
    std::memcpy(&slot[0], &header, sizeof header);
    Slot(offset) = slot;
  }
  std::string& Slot(uint64_t offset) {
    return slots_[(kPosition + offset) % kSlotCount];
  }
  AssembledRecord Assemble() {
    return AssembleRecord(
        kPosition, Geometry(), kSeed,
        [this](uint64_t p) -> absl::string_view {
          return slots_[p % kSlotCount];
        },
        &buffer_);
  }
  void ExpectGap(GapCause cause, uint32_t slot_count) {
    const AssembledRecord record = Assemble();
    EXPECT_EQ(record.outcome, AssembledRecord::kGap);
    EXPECT_EQ(record.cause, cause);
    EXPECT_EQ(record.slot_count, slot_count);
    EXPECT_TRUE(record.head.empty() && record.body.empty());
  }

  std::string slots_[kSlotCount];
  std::string buffer_;
};

TEST_F(AssembleRecordTest, AssemblesPartsUpToOneLap) {
  const std::string all = "01234567";
  for (uint16_t count = 1; count <= kSlotCount; ++count) {
    Put(count);
    const AssembledRecord record = Assemble();
    EXPECT_EQ(record.outcome, AssembledRecord::kRecord);
    EXPECT_EQ(record.slot_count, count);
    EXPECT_EQ(record.head, "head");
    EXPECT_EQ(record.body, all.substr(0, count));
  }
}

TEST_F(AssembleRecordTest, MissingPartIsGapOfWholeRecord) {
  for (uint16_t missing = 1; missing < 4; ++missing) {
    Put(4);
    Slot(missing).assign(kSlotBytes, '\0');
    ExpectGap(GapCause::kMissing, 4);
  }
}

TEST_F(AssembleRecordTest, DamagedPartIsGapOfWholeRecord) {
  for (uint16_t damaged = 1; damaged < 4; ++damaged) {
    Put(4);
    Slot(damaged)[32] ^= 1;
    ExpectGap(GapCause::kChecksumMismatch, 4);
  }
}

TEST_F(AssembleRecordTest, PartOfAnotherLapIsNotUsed) {
  Put(4);
  PutPart(2 + kSlotCount, 2, 4);
  ExpectGap(GapCause::kMissing, 4);
}

// A process that resumes a damaged ring can use the positions of lost parts
// again. Then the gap ends there.
TEST_F(AssembleRecordTest, PartOfAnotherRecordEndsGap) {
  Put(4);
  PutPart(2, 2, 3);  // of a record of three slots
  ExpectGap(GapCause::kMissing, 2);
  Put(4);
  PutPart(2, 1, 4);  // with another part index
  ExpectGap(GapCause::kMissing, 2);
  Put(4);
  PutPart(2, 0, 1);  // a record of its own
  ExpectGap(GapCause::kMissing, 2);
  Slot(1).assign(kSlotBytes, '\0');
  ExpectGap(GapCause::kMissing, 2);
  Put(4);
  PutPart(2, 0, 0);  // an abandoned claim
  ExpectGap(GapCause::kMissing, 2);
  Put(4);
  PutPart(2, 0, 1, SlotState::kFilling);  // a claim
  ExpectGap(GapCause::kMissing, 2);
  Put(4);
  PutPart(2, 2, 4, SlotState::kFilling);  // not committed
  ExpectGap(GapCause::kMissing, 2);
}

TEST_F(AssembleRecordTest, DamagedFirstSlotIsGapOfOneSlot) {
  Put(4);
  Slot(0)[32] ^= 1;
  ExpectGap(GapCause::kChecksumMismatch, 1);
}

TEST_F(AssembleRecordTest, AbandonedAndStrayPartsAreNoRecord) {
  PutPart(0, 0, 0);
  EXPECT_EQ(Assemble().outcome, AssembledRecord::kNothing);
  PutPart(0, 2, 4);
  EXPECT_EQ(Assemble().outcome, AssembledRecord::kNothing);
  EXPECT_EQ(Assemble().slot_count, 1u);
}

}  // namespace
}  // namespace ringlog
