// Tests the cost of damage at every place of a ring.
//
// Invariants checked, for every damaged ring:
//
// 1. Every recovered record was logged, with its text and at its position. Each
//    record is recovered once, in the order of positions.
// 2. A damaged byte costs at most the record with this byte in its slots, and a
//    gap has the positions of the record. Of a truncated file, all records with
//    complete slots are recovered, and gaps have the positions of the others.
// 3. A gap has only positions of lost records. The one exception is the
//    position of a damaged slot without a record, because an abandoned or free
//    slot is then no longer recognizable.
// 4. Damage to one header or to both costs nothing.
//
// Exceptions:
//
// - If the latest persist cursor is damaged, the one before counts. Records
//   that were persisted since are recovered again. `ringlog cat` reports the
//   damage.
// - A file truncated before the end of the live area has no tail. Gaps do not
//   have the positions of its slots. `ringlog cat` reports the truncation.
// - If one damaged bit makes the header look like a later version, and another
//   one makes the copy unrecognizable, the ring is rejected like a ring of that
//   version.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_header_scan.h"
#include "ringlog/testing/fixtures/logged_ring.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
// In the default mode, the test damages one of kEvery bytes.
constexpr size_t kEvery = 5;
#else
constexpr size_t kEvery = 1;
#endif
constexpr int kPairs = 5000;
constexpr int kPairsInLongMode = 2000000;
constexpr int kDecoded = 200;
constexpr int kDecodedInLongMode = 20000;

// Records by position.
using Records = std::map<uint64_t, LoggedRing::LoggedRecord>;

class RingDamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    logged_ = MakeLoggedRing();
    header_ = *ParseRingHeader(logged_.bytes);
    const auto intact = RecoverRing(logged_.bytes, RecoverFrom::kCursor);
    ASSERT_TRUE(intact.ok()) << intact.status();
    ASSERT_GE(logged_.pending.size(), 14u);
    ASSERT_EQ(intact->records.size(), logged_.pending.size());
    ExpectOnlyLoggedRecords(*intact);
    ASSERT_EQ(intact->gaps.size(), 1u) << "the unfinished record";
  }
  void TearDown() override {
    std::cout << cases_ << " cases, " << lost_ << " records lost, " << named_
              << " of them named" << std::endl;
  }

  uint64_t UpTo(uint64_t most) { return random_() % (most + 1); }
  bool InSlots(size_t at) const { return at >= header_.slots_offset; }
  // The crash area is empty here. //ring:crash_area_test damages crash reports.
  bool InCrashArea(size_t at) const {
    return at >= header_.crash_offset && !InSlots(at);
  }
  uint64_t SlotOf(size_t at) const {
    return (at - header_.slots_offset) / header_.slot_bytes;
  }
  bool UsesSlot(uint64_t position, uint64_t slot_count, uint64_t slot) const {
    return ((slot - position) & (header_.slot_count - 1)) < slot_count;
  }

  // Checks invariant 1.
  void ExpectOnlyLoggedRecords(const RecoveredRing& ring) {
    ++cases_;
    uint64_t next = 0;
    for (const RecoveredRecord& found : ring.records) {
      ASSERT_GE(found.position, next);
      next = found.position + found.slot_count;
      const auto logged = logged_.ever.find(found.position);
      ASSERT_NE(logged, logged_.ever.end()) << found.position;
      Record record;
      ASSERT_TRUE(DecodeRecord(found.head, found.body, &record));
      ASSERT_EQ(record.text, logged->second.text);
      ASSERT_EQ(record.line, LoggedLine(found.position));
    }
  }

  Records Lost(const RecoveredRing& ring) const {
    Records lost = logged_.pending;
    for (const RecoveredRecord& found : ring.records) {
      lost.erase(found.position);
    }
    return lost;
  }

  // Removes the records from `*lost` that gaps name. Returns the other
  // positions in gaps.
  std::set<uint64_t> NamedPositions(const RecoveredRing& ring, Records* lost) {
    lost_ += lost->size();
    std::set<uint64_t> named;
    for (const Gap& gap : ring.gaps) {
      for (uint64_t p = gap.first_position; p < gap.end_position; ++p) {
        named.insert(p);
      }
    }
    for (auto it = lost->begin(); it != lost->end();) {
      bool is_named = true;
      for (uint64_t i = 0; i < it->second.slot_count; ++i) {
        is_named &= named.count(it->first + i) != 0;
      }
      if (!is_named) {
        ++it;
        continue;
      }
      for (uint64_t i = 0; i < it->second.slot_count; ++i) {
        named.erase(it->first + i);
      }
      ++named_;
      it = lost->erase(it);
    }
    return named;
  }

  // Checks invariants 1 to 3 for `bytes`, whose damage is the byte or the slot
  // at `at`.
  void CheckDamage(const std::string& bytes, size_t at) {
    const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
    ASSERT_TRUE(ring.ok()) << ring.status();
    ExpectOnlyLoggedRecords(*ring);
    auto lost = Lost(*ring);
    ASSERT_LE(lost.size(), InSlots(at) ? 1u : 0u);
    for (const auto& [position, record] : lost) {
      ASSERT_TRUE(UsesSlot(position, record.slot_count, SlotOf(at)))
          << position << " is in other slots";
    }
    const std::set<uint64_t> rest = NamedPositions(*ring, &lost);
    ASSERT_TRUE(lost.empty()) << lost.begin()->first << " is not named";
    uint64_t more = 0;
    for (const uint64_t p : rest) {
      if (logged_.unfinished.count(p) != 0) continue;
      ++more;
      ASSERT_TRUE(InSlots(at) && UsesSlot(p, 1, SlotOf(at)))
          << p << " was not lost";
    }
    ASSERT_LE(more, 1u);
    for (const uint64_t p : logged_.unfinished) {
      ASSERT_TRUE(rest.count(p) != 0 ||
                  (InSlots(at) && UsesSlot(p, 1, SlotOf(at))))
          << p << " was unfinished";
    }
    if (at % 4 != 0) return;
    const auto all = RecoverRing(bytes, RecoverFrom::kEverything);
    ASSERT_NO_FATAL_FAILURE(ExpectOnlyLoggedRecords(*all));
  }

  void SetByte(size_t at, int value) {
    std::string bytes = logged_.bytes;
    bytes[at] = static_cast<char>(value);
    if (bytes == logged_.bytes) return;
    CheckDamage(bytes, at);
    ASSERT_FALSE(HasFatalFailure())
        << "byte " << at << " set to " << value << ", which was "
        << static_cast<int>(static_cast<unsigned char>(logged_.bytes[at]));
  }

  // Checks that `ring` has everything that the intact ring has.
  void ExpectNothingLost(const RecoveredRing& ring) {
    ExpectOnlyLoggedRecords(ring);
    ASSERT_TRUE(Lost(ring).empty());
    ASSERT_EQ(ring.gaps.size(), 1u);
    ASSERT_EQ(ring.gaps[0].cause, GapCause::kUnfinished);
  }

  std::mt19937_64 random_{TestSeed()};
  LoggedRing logged_;
  RingHeader header_ = {};
  uint64_t cases_ = 0;
  uint64_t lost_ = 0;
  uint64_t named_ = 0;
};

TEST_F(RingDamageTest, EveryByteCostsAtMostItsRecord) {
  const size_t step = IsLongMode() ? 1 : kEvery;
  for (size_t at = UpTo(step - 1); at < logged_.bytes.size(); at += step) {
    if (InCrashArea(at) && at % 101 != 0) continue;
    if (IsLongMode()) {
      for (int value = 0; value < 256; ++value) {
        ASSERT_NO_FATAL_FAILURE(SetByte(at, value));
      }
      continue;
    }
    const int was = static_cast<unsigned char>(logged_.bytes[at]);
    ASSERT_NO_FATAL_FAILURE(SetByte(at, was ^ 0xff));
    ASSERT_NO_FATAL_FAILURE(SetByte(at, 0));
    ASSERT_NO_FATAL_FAILURE(SetByte(at, was ^ (1 << UpTo(7))));
  }
  EXPECT_GT(lost_, 0u) << "no damage had an effect";
}

// Tries zeros, noise, the bytes of another slot, and words of several laps and
// all states.
TEST_F(RingDamageTest, EverySlotCostsAtMostItsRecord) {
  const size_t size = header_.slot_bytes;
  for (uint64_t slot = 0; slot < header_.slot_count; ++slot) {
    const size_t at = header_.slots_offset + slot * size;
    for (int way = 0; way < 4 + 6 * 8; ++way) {
      std::string bytes = logged_.bytes;
      uint64_t word;
      std::memcpy(&word, &bytes[at], sizeof word);
      if (way < 2) {
        bytes.replace(at, size, size, way == 0 ? '\0' : '\xff');
      } else if (way == 2) {
        for (size_t i = 0; i < size; ++i) {
          bytes[at + i] = static_cast<char>(UpTo(255));
        }
      } else if (way == 3) {
        const size_t other = header_.slots_offset + (slot ^ 5) * size;
        bytes.replace(at, size, logged_.bytes, other, size);
      } else {
        // From two laps before the word to four laps after it.
        word += static_cast<uint64_t>(way / 8 - 2) * header_.slot_count * 8;
        word = (word & ~uint64_t{7}) | static_cast<uint64_t>(way % 8);
        std::memcpy(&bytes[at], &word, sizeof word);
      }
      ASSERT_NO_FATAL_FAILURE(CheckDamage(bytes, at))
          << "slot " << slot << ", way " << way;
    }
  }
}

TEST_F(RingDamageTest, EveryHeaderBitCostsNothing) {
  for (const size_t header : {size_t{0}, size_t{kRingHeaderCopyOffset}}) {
    for (size_t bit = 0; bit < sizeof(RingHeader) * 8; ++bit) {
      std::string bytes = logged_.bytes;
      char* const byte = &bytes[header + bit / 8];
      *byte = static_cast<char>(*byte ^ (1 << bit % 8));
      const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
      ASSERT_TRUE(ring.ok()) << ring.status();
      ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(*ring)) << bit;
    }
  }
}

TEST_F(RingDamageTest, OneBitInEachHeaderCostsNothing) {
  int refused = 0;
  for (size_t bit = 0; bit < sizeof(RingHeader) * 8; ++bit) {
    std::string bytes = logged_.bytes;
    const size_t in_copy = UpTo(sizeof(RingHeader) * 8 - 1);
    for (const size_t at : {bit, kRingHeaderCopyOffset * 8 + in_copy}) {
      bytes[at / 8] = static_cast<char>(bytes[at / 8] ^ (1 << at % 8));
    }
    const absl::Status status = ParseRingHeader(bytes).status();
    ASSERT_FALSE(status.ok());
    if (absl::IsUnimplemented(status)) {
      ++refused;
      ASSERT_TRUE(bit / 64 == 1) << "damage outside of byte order and version";
      ASSERT_TRUE(in_copy / 64 <= 1);
    }
    const auto header = RebuildRingHeader(bytes);
    ASSERT_TRUE(header.ok()) << header.status();
    ASSERT_NO_FATAL_FAILURE(
        ExpectNothingLost(RecoverRing(bytes, *header, RecoverFrom::kCursor)))
        << bit << ", " << in_copy;
  }
  std::cout << refused << " refused" << std::endl;
}

// Both headers are zeros.
TEST_F(RingDamageTest, EveryByteWithoutHeadersCostsAtMostItsRecord) {
  const std::string intact = logged_.bytes;
  for (size_t at = header_.slots_offset + UpTo(12); at < intact.size();
       at += IsLongMode() ? 1 : 13) {
    std::string bytes = intact;
    std::fill_n(bytes.begin(), kRingHeaderAreaBytes, '\0');
    bytes[at] = static_cast<char>(~bytes[at]);
    const auto header = RebuildRingHeader(bytes);
    ASSERT_TRUE(header.ok()) << header.status();
    const RecoveredRing ring =
        RecoverRing(bytes, *header, RecoverFrom::kCursor);
    ASSERT_NO_FATAL_FAILURE(ExpectOnlyLoggedRecords(ring)) << at;
    auto lost = Lost(ring);
    ASSERT_LE(lost.size(), 1u) << at;
    NamedPositions(ring, &lost);
    ASSERT_TRUE(lost.empty()) << at;
  }
}

TEST_F(RingDamageTest, TruncatedRingLosesOnlyTruncatedRecords) {
  for (size_t size = 0; size < logged_.bytes.size(); ++size) {
    if (InCrashArea(size) && size % 61 != 0) continue;
    const absl::string_view bytes =
        absl::string_view(logged_.bytes).substr(0, size);
    const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
    ASSERT_EQ(ring.ok(), size >= sizeof(RingHeader)) << ring.status();
    if (!ring.ok()) continue;
    ASSERT_NO_FATAL_FAILURE(ExpectOnlyLoggedRecords(*ring)) << size;
    auto lost = Lost(*ring);
    for (const auto& [position, record] : lost) {
      uint64_t end = 0;
      for (uint64_t i = 0; i < record.slot_count; ++i) {
        const uint64_t slot = (position + i) & (header_.slot_count - 1);
        end = std::max(end,
                       header_.slots_offset + (slot + 1) * header_.slot_bytes);
      }
      ASSERT_GT(end, size) << position << " has complete slots";
    }
    if (size < header_.live_offset + sizeof(RingLive)) continue;
    NamedPositions(*ring, &lost);
    ASSERT_TRUE(lost.empty())
        << size << ": " << lost.begin()->first << " is not named";
  }
}

// Gaps need not report every loss here: one of the bytes may be in a slot, and
// the other one in the tail that proves the use of the slot.
TEST_F(RingDamageTest, TwoBytesCostAtMostTwoRecords) {
  const int pairs = IsLongMode() ? kPairsInLongMode : kPairs;
  const auto anywhere = [this] {
    return UpTo(3) == 0 ? kLiveOffset + UpTo(sizeof(RingLive) - 1)
                        : header_.slots_offset + UpTo(logged_.bytes.size() -
                                                      header_.slots_offset - 1);
  };
  for (int i = 0; i < pairs; ++i) {
    std::string bytes = logged_.bytes;
    bytes[anywhere()] = static_cast<char>(UpTo(255));
    bytes[anywhere()] = static_cast<char>(UpTo(255));
    const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
    ASSERT_TRUE(ring.ok()) << ring.status();
    ASSERT_NO_FATAL_FAILURE(ExpectOnlyLoggedRecords(*ring));
    auto lost = Lost(*ring);
    ASSERT_LE(lost.size(), 2u);
    NamedPositions(*ring, &lost);
  }
}

// Decodes rings with a damaged byte, without headers, or truncated, like
// `ringlog cat`.
TEST_F(RingDamageTest, EachRecordIsPrintedOrReported) {
  const std::string path = MakeTestDirectory() + "/damaged.ring";
  const int files = IsLongMode() ? kDecodedInLongMode : kDecoded;
  for (int i = 0; i < files; ++i) {
    std::string bytes = logged_.bytes;
    size_t at = header_.live_offset + UpTo(sizeof(RingLive) - 1);
    if (UpTo(3) != 0) {
      at = header_.slots_offset + UpTo(bytes.size() - header_.slots_offset - 1);
    }
    const uint64_t kind = UpTo(2);
    if (kind == 0) bytes.resize(at);
    if (kind == 1) std::fill_n(bytes.begin(), kRingHeaderAreaBytes, '\0');
    if (kind != 0) bytes[at] = static_cast<char>(~bytes[at]);
    WriteFile(path, bytes);

    Records lost = logged_.pending;
    uint64_t next = 0;
    DecodeSink sink;
    sink.on_record = [&](const DecodedRecord& found) {
      const auto logged = logged_.ever.find(found.position);
      EXPECT_GE(found.position, next);
      EXPECT_TRUE(logged != logged_.ever.end() &&
                  found.record.text == logged->second.text)
          << found.position;
      next = found.position + 1;
      lost.erase(found.position);
      return true;
    };
    std::set<uint64_t> named;
    bool is_loss = kind != 2;
    sink.on_gap = [&](const std::string&, const Gap& gap) {
      is_loss |= IsLoss(gap.cause);
      for (uint64_t p = gap.first_position; p < gap.end_position; ++p) {
        named.insert(p);
      }
    };
    const DecodeResult result = Decode({path}, sink);
    ++cases_;
    lost_ += lost.size();
    if (kind == 0 && at < header_.live_offset + sizeof(RingLive)) {
      EXPECT_EQ(result.exit_status(), 1);
      continue;
    }
    EXPECT_LE(lost.size(), kind == 0 ? logged_.pending.size() : 1);
    for (const auto& [position, record] : lost) {
      EXPECT_EQ(named.count(position), 1u) << position;
      named_ += named.count(position);
    }
    EXPECT_TRUE(!is_loss || result.exit_status() == 1);
    ASSERT_FALSE(HasFailure()) << "kind " << kind << ", byte " << at;
  }
}

}  // namespace
}  // namespace ringlog
