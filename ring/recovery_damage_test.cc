// Systematic and random damage to all bytes of a ring.
//
// Invariants, whatever the damage:
// 1. Recovery ends, and does not read outside of the bytes (asan).
// 2. Recovery returns a record only if it was written, at its position, with
//    its bytes, and once. Records are in order.
// 3. One damaged byte in the slots costs at most the record that it belongs to,
//    and a gap reports that record. The gap is a loss, unless the damaged word
//    equals that of a record that is being written.
// 4. One damaged byte elsewhere costs no record.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using Records = std::map<uint64_t, std::string>;  // body by position

class RecoveryDamageTest : public ::testing::Test {
 protected:
  void Write(size_t slots) {
    const uint64_t position = ring_.ring().tail_position();
    std::string body = absl::StrCat("record ", position, " ");
    while (body.size() < SmallBody(slots) - 40) body += body;
    body.resize(SmallBody(slots) - 7);
    ASSERT_TRUE(ring_.Write(body));
    ever_written_[position] = body;
    remaining_[position] = body;
  }
  void Persist() {
    while (ring_.Read().has_value()) {
    }
    remaining_.clear();
    ring_.ring().PublishCursor(ring_.ring().take_position(), "state");
  }
  // Makes a ring with records of one and of several slots, some across the end
  // of a lap, one torn, one taken.
  void MakeRing() {
    for (int lap = 0; lap < 2; ++lap) {
      Write(1);
      Write(2);
      Write(1);
      Persist();
      ring_.Release();
    }
    Write(2);
    Persist();
    ring_.Release();
    Write(1);
    Write(3);
    ASSERT_TRUE(ring_.ring().Claim(Severity::kInfo, 1, 1).has_value());
    Write(1);
    ring_.Read();
    bytes_ = ring_.Bytes();
    ASSERT_EQ(Check("undamaged"), remaining_);
  }

  // Checks invariant 2 for the current bytes_.
  Records Check(absl::string_view label) {
    Records found;
    gaps_.clear();
    for (const auto from : {RecoverFrom::kEverything, RecoverFrom::kCursor}) {
      found.clear();
      const auto ring = RecoverRing(bytes_, from);
      if (!ring.ok()) continue;
      gaps_ = ring->gaps;
      uint64_t next = 0;
      for (const RecoveredRecord& record : ring->records) {
        EXPECT_GE(record.position, next) << label;
        next = record.position + record.slot_count;
        const auto written = ever_written_.find(record.position);
        if (written == ever_written_.end() || record.body != written->second ||
            record.head != "h") {
          ADD_FAILURE() << label
                        << ": returned a record that was never written at "
                        << record.position;
        }
        found[record.position] = std::string(record.body);
      }
    }
    return found;
  }
  const Gap* GapAt(uint64_t position) const {
    for (const Gap& gap : gaps_) {
      if (gap.first_position <= position && position < gap.end_position) {
        return &gap;
      }
    }
    return nullptr;
  }
  bool HasWordOfRecordBeingWritten(uint64_t position) const {
    uint64_t word;
    std::memcpy(&word, &bytes_[SlotOffset(ring_.header(), position)],
                sizeof word);
    return word == (position << 3 | 1) || word == (position << 3 | 4);
  }
  // Checks invariants 3 and 4.
  void CheckOneByte(size_t offset, bool in_slots) {
    const std::string label = absl::StrCat("byte ", offset);
    const Records found = Check(label);
    int lost = 0;
    for (const auto& [position, body] : remaining_) {
      if (found.count(position) != 0) continue;
      ++lost;
      const Gap* const gap = GapAt(position);
      ASSERT_NE(gap, nullptr) << label << ": " << position;
      EXPECT_TRUE(IsLoss(gap->cause) || HasWordOfRecordBeingWritten(position))
          << label << ": " << position;
    }
    EXPECT_LE(lost, in_slots ? 1 : 0) << label;
  }
  bool InSlots(size_t offset) const {
    return offset >= ring_.header().slots_offset;
  }
  // The crash area is empty here; crash_area_test damages its content.
  bool InCrashArea(size_t offset) const {
    return offset >= ring_.header().crash_offset && !InSlots(offset);
  }

  TestRing ring_;
  Records ever_written_;
  Records remaining_;
  std::string bytes_;
  std::vector<Gap> gaps_;
};

TEST_F(RecoveryDamageTest, FlippedBitCostsAtMostItsRecord) {
  MakeRing();
  for (size_t offset = 0; offset < bytes_.size(); ++offset) {
    if (InCrashArea(offset)) continue;
    for (int bit = 0; bit < 8; ++bit) {
      bytes_[offset] = static_cast<char>(bytes_[offset] ^ (1 << bit));
      CheckOneByte(offset, InSlots(offset));
      bytes_[offset] = static_cast<char>(bytes_[offset] ^ (1 << bit));
    }
  }
}

TEST_F(RecoveryDamageTest, ReplacedByteCostsAtMostItsRecord) {
  MakeRing();
  for (size_t offset = 0; offset < bytes_.size(); ++offset) {
    if (InCrashArea(offset)) continue;
    const char before = bytes_[offset];
    for (const int value : {0x00, 0xff, 0x01, 0x03, 0x80}) {
      bytes_[offset] = static_cast<char>(value);
      CheckOneByte(offset, InSlots(offset));
    }
    bytes_[offset] = before;
  }
}

class RandomDamageTest : public RecoveryDamageTest {
 protected:
  uint64_t Below(uint64_t n) { return random_() % n; }
  // Returns an offset, preferably one of a used byte.
  size_t AnyOffset() {
    const RingHeader& h = ring_.header();
    switch (Below(6)) {
      case 0:
        return static_cast<size_t>(Below(bytes_.size()));
      case 1:
        return static_cast<size_t>(Below(4096));
      case 2:
        return static_cast<size_t>(h.live_offset + Below(sizeof(RingLive)));
      default:
        return static_cast<size_t>(h.slots_offset +
                                   Below(bytes_.size() - h.slots_offset));
    }
  }
  void Damage() {
    const size_t at = AnyOffset();
    const size_t length = std::min<size_t>(bytes_.size() - at,
                                           static_cast<size_t>(1 + Below(200)));
    switch (Below(5)) {
      case 0:  // one bit
        bytes_[at] = static_cast<char>(bytes_[at] ^ (1 << Below(8)));
        break;
      case 1:  // a number of any size
        for (size_t i = at; i < std::min(at + 8, bytes_.size()); ++i) {
          bytes_[i] = static_cast<char>(Below(256));
        }
        break;
      case 2:  // a run of one value
        std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(at), length,
                    static_cast<char>(Below(2) * 255));
        break;
      case 3: {  // bytes from another place
        const std::string piece = bytes_.substr(AnyOffset(), length);
        bytes_.replace(at, std::min(piece.size(), bytes_.size() - at), piece, 0,
                       std::min(piece.size(), bytes_.size() - at));
        break;
      }
      case 4:  // another slot
        SwapSlots(Below(8), Below(8));
        break;
    }
  }
  void SwapSlots(uint64_t a, uint64_t b) {
    for (size_t i = 0; i < 128; ++i) {
      std::swap(bytes_[SlotOffset(ring_.header(), a) + i],
                bytes_[SlotOffset(ring_.header(), b) + i]);
    }
  }

  std::mt19937_64 random_{TestSeed()};
};

TEST_F(RandomDamageTest, ReturnsOnlyWrittenRecords) {
  MakeRing();
  const std::string intact = bytes_;
  int readable = 0;
  constexpr int kRounds = 20000;
  for (int round = 0; round < kRounds; ++round) {
    bytes_ = intact;
    for (uint64_t n = 1 + Below(12); n > 0; --n) Damage();
    if (Below(8) == 0) bytes_.resize(Below(bytes_.size()) + 1);
    const Records found = Check(absl::StrCat("round ", round));
    readable += !found.empty();
  }
  printf("%d of %d damaged rings still returned records\n", readable, kRounds);
  EXPECT_GT(readable, kRounds / 2)
      << "most damaged rings have no readable record";
}

}  // namespace
}  // namespace ringlog
