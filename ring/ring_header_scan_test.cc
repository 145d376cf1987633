// Rebuilt headers, compared with recovery by the original headers.

#include "ringlog/ring/ring_header_scan.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/ring/slot_word.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

RingOptions Options(uint64_t slot_count, uint32_t head_bytes,
                    uint32_t body_bytes, uint64_t first_position = 1) {
  RingOptions options;
  options.slot_count = slot_count;
  options.head_bytes = head_bytes;
  options.body_bytes = body_bytes;
  options.first_position = first_position;
  return options;
}

std::string WithoutHeaders(std::string bytes) {
  std::memset(&bytes[0], 0, kRingHeaderAreaBytes);
  return bytes;
}

std::vector<std::string> Printed(const RecoveredRing& ring) {
  std::vector<std::string> lines;
  for (const RecoveredRecord& r : ring.records) {
    lines.push_back(
        absl::StrCat(r.position, " ", r.slot_count, " ", r.head, " ", r.body));
  }
  for (const Gap& gap : ring.gaps) {
    lines.push_back(absl::StrCat(GapCauseName(gap.cause), " ",
                                 gap.first_position, " ", gap.end_position));
  }
  lines.push_back(absl::StrCat("end ", ring.end_position, ", cursor ",
                               ring.cursor.end_position));
  return lines;
}

// Expects the same records and gaps as with the original header.
void ExpectRebuilt(const std::string& bytes, absl::string_view label) {
  const std::string stripped = WithoutHeaders(bytes);
  const absl::StatusOr<RingHeader> rebuilt = RebuildRingHeader(stripped);
  ASSERT_TRUE(rebuilt.ok()) << label << ": " << rebuilt.status();
  const RingHeader header = *ParseRingHeader(bytes);
  EXPECT_EQ(rebuilt->slot_count, header.slot_count) << label;
  EXPECT_EQ(rebuilt->slot_bytes, header.slot_bytes) << label;
  EXPECT_EQ(rebuilt->slots_offset, header.slots_offset) << label;
  EXPECT_EQ(rebuilt->live_offset, header.live_offset) << label;
  EXPECT_EQ(rebuilt->file_bytes, header.file_bytes) << label;
  EXPECT_EQ(ChecksumSeed(rebuilt->ring_id), ChecksumSeed(header.ring_id));
  for (const RecoverFrom from :
       {RecoverFrom::kEverything, RecoverFrom::kCursor}) {
    EXPECT_EQ(Printed(RecoverRing(stripped, *rebuilt, from)),
              Printed(*RecoverRing(bytes, from)))
        << label;
  }
}

// Writes records of 1 to 3 slots. The last few are not persisted.
std::string UsedRing(const RingOptions& options, int records) {
  TestRing ring(options);
  const size_t slot = ring.header().slot_bytes - sizeof(SlotHeader);
  const uint64_t max_slots = options.slot_count >= 8 ? 3 : 1;
  for (int i = 0; i < records; ++i) {
    const size_t slots = static_cast<size_t>(i) % max_slots;
    const std::string body(slots * slot + 7, static_cast<char>('a' + i % 26));
    if (!ring.Write(body)) {
      ring.ReadAll();
      ring.ring().PublishCursor(ring.ring().take_position(), "state");
      ring.Release();
      EXPECT_TRUE(ring.Write(body));
    }
  }
  return ring.Bytes();
}

TEST(RingHeaderScanTest, FindsEveryGeometry) {
  for (const uint64_t slots : {2u, 4u, 8u, 64u, 1024u}) {
    for (const auto& [head, body] :
         {std::pair(40, 1), std::pair(40, 56), std::pair(128, 352),
          std::pair(128, 500), std::pair(4096, 9000)}) {
      for (const uint64_t first : {uint64_t{1}, (uint64_t{1} << 32) - 3}) {
        const RingOptions options = Options(slots, static_cast<uint32_t>(head),
                                            static_cast<uint32_t>(body), first);
        for (const int records : {2, static_cast<int>(slots) + 3}) {
          ExpectRebuilt(
              UsedRing(options, records),
              absl::StrCat(slots, " slots, head ", head, ", body ", body,
                           ", from ", first, ", ", records, " records"));
        }
      }
    }
  }
}

TEST(RingHeaderScanTest, IgnoresUnfinishedAndAbandonedSlots) {
  TestRing ring(Options(16, 40, 56));
  ring.Write("a");
  ASSERT_TRUE(ring.ring().Claim(Severity::kInfo, 1, 200).has_value());
  ring.ring().Abandon(*ring.ring().Claim(Severity::kInfo, 1, 1));
  ring.Write("b");
  ExpectRebuilt(ring.Bytes(), "unfinished");
}

TEST(RingHeaderScanTest, OneUsedSlotNeedsACursor) {
  TestRing ring(Options(16, 40, 56));
  ring.Write("a");
  EXPECT_EQ(RebuildRingHeader(WithoutHeaders(ring.Bytes())).status().code(),
            absl::StatusCode::kDataLoss);
  ring.ring().PublishCursor(1, "state");
  ExpectRebuilt(ring.Bytes(), "one slot, one cursor");
  ring.ring().PublishCursor(1, "state");
  ExpectRebuilt(ring.Bytes(), "one slot, two cursors");
}

TEST(RingHeaderScanTest, RebuildsWithoutLiveArea) {
  std::string bytes = UsedRing(Options(16, 40, 56, 1000), 3);
  std::memset(&bytes[kLiveOffset], 0, sizeof(RingLive));
  ExpectRebuilt(bytes, "headers and live part");
}

TEST(RingHeaderScanTest, UnusedRingIsDataLoss) {
  TestRing ring(Options(16, 40, 56));
  for (int i = 0; i < 2; ++i) {
    const absl::Status status =
        RebuildRingHeader(WithoutHeaders(ring.Bytes())).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("fewer than two checksums"));
    // Two cursors with the same seed prove nothing about slots.
    ring.ring().PublishCursor(1, "one");
    ring.ring().PublishCursor(1, "two");
  }
}

TEST(RingHeaderScanTest, MajorityOutvotesForeignSlots) {
  const RingOptions options = Options(16, 40, 56, (uint64_t{1} << 32) - 3);
  const std::string other = UsedRing(options, 30);
  std::string bytes = UsedRing(options, 30);
  for (size_t i = 0; i < 16; ++i) {
    const size_t slot = kSlotsOffset + i * 128;
    if (i % 3 == 0) bytes.replace(slot, 128, other, slot, 128);
    if (i % 5 == 4) bytes[slot + 33] ^= 1;
  }
  ExpectRebuilt(bytes, "5 of 16 are another ring's, 3 damaged");
}

TEST(RingHeaderScanTest, ImpossibleSizeIsRejected) {
  const std::string bytes = WithoutHeaders(UsedRing(Options(8, 40, 56), 5));
  for (const size_t size : {size_t{0}, size_t{100}, size_t{4096}, size_t{73728},
                            bytes.size() - 1}) {
    EXPECT_EQ(RebuildRingHeader(bytes.substr(0, size)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << size;
  }
}

// A truncated file returns correct records or none.
TEST(RingHeaderScanTest, TruncatedFileReturnsOnlyRealRecords) {
  const std::string bytes = UsedRing(Options(64, 40, 56), 100);
  const std::vector<std::string> all =
      Printed(*RecoverRing(bytes, RecoverFrom::kEverything));
  size_t found = 0;
  for (size_t size = kSlotsOffset; size < bytes.size(); size += 64) {
    const std::string truncated = WithoutHeaders(bytes.substr(0, size));
    const auto header = RebuildRingHeader(truncated);
    if (!header.ok()) continue;
    ++found;
    const RecoveredRing ring =
        RecoverRing(truncated, *header, RecoverFrom::kEverything);
    for (const RecoveredRecord& r : ring.records) {
      EXPECT_THAT(all, Contains(absl::StrCat(r.position, " ", r.slot_count, " ",
                                             r.head, " ", r.body)));
    }
  }
  EXPECT_GT(found, 0u);
}

TEST(RingHeaderScanTest, RandomBytesAreRejected) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 20; ++round) {
    std::string bytes(kSlotsOffset + (size_t{8192} << (round % 6)), '\0');
    for (size_t i = 0; i < bytes.size(); i += 8) {
      const uint64_t n = random() >> (random() % 64);
      std::memcpy(&bytes[i], &n, sizeof n);
    }
    EXPECT_EQ(RebuildRingHeader(bytes).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

// The positions are all equal, or they are valid in one geometry but the
// lengths are not.
TEST(RingHeaderScanTest, HostileSlotsAreRejected) {
  for (const uint32_t body_bytes : {uint32_t{96}, uint32_t{97}, UINT32_MAX}) {
    for (const uint64_t step : {0u, 1u}) {
      std::string bytes(kSlotsOffset + (size_t{1} << 20), '\0');
      for (size_t at = kSlotsOffset; at < bytes.size(); at += 128) {
        SlotHeader header = {};
        header.position =
            kMaxPosition - (1 << 16) + 1 + (at - kSlotsOffset) / 128 * step;
        header.head_bytes = body_bytes == 97 ? UINT16_MAX : 0;
        header.body_bytes = body_bytes;
        header.crc32c = 1;
        std::memcpy(&bytes[at], &header, sizeof header);
      }
      EXPECT_EQ(RebuildRingHeader(bytes).status().code(),
                absl::StatusCode::kDataLoss);
    }
  }
}

TEST(RingHeaderScanTest, SetsIdForEverySeed) {
  std::mt19937_64 random(TestSeed());
  for (uint64_t i = 0; i < 1000; ++i) {
    uint8_t id[16];
    for (uint8_t& byte : id) byte = static_cast<uint8_t>(random());
    uint8_t made[16];
    std::memcpy(made, id, sizeof made);
    const auto seed =
        absl::crc32c_t{static_cast<uint32_t>(i < 2 ? 0 - i : random())};
    SetChecksumSeed(seed, made);
    EXPECT_EQ(ChecksumSeed(made), seed);
    EXPECT_EQ(std::memcmp(made, id, 12), 0);
    SetChecksumSeed(ChecksumSeed(id), made);
    EXPECT_EQ(std::memcmp(made, id, 16), 0) << "the suffix is unique";
  }
}

}  // namespace
}  // namespace ringlog
