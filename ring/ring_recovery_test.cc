// Recovery through a window. A source that returns only a few bytes at once, or
// reports holes, gives the same records, gaps and counts as bytes in memory.
// Each call returns an error of the source.

#include "ringlog/ring/ring_recovery.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_source.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/ring/slot_word.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

// A source that returns `window` bytes at once. A view is invalid after the
// next call, so that AddressSanitizer detects a later use. Aligned pieces of
// `hole_unit` zeros are holes. If `hole_unit` is 0, there are no holes.
class PiecewiseSource : public RingSource {
 public:
  PiecewiseSource(absl::string_view bytes, size_t window, size_t hole_unit)
      : bytes_(bytes), window_(window), hole_unit_(hole_unit) {}

  uint64_t size() const override { return bytes_.size(); }

  absl::StatusOr<absl::string_view> Read(uint64_t offset,
                                         uint64_t bytes) override {
    if (reads_left_ == 0) return absl::UnavailableError("read: bad sector");
    --reads_left_;
    if (offset >= bytes_.size()) return absl::string_view();
    const absl::string_view found =
        bytes_.substr(offset, std::max<uint64_t>(bytes, window_));
    bytes_read_ += found.size();
    piece_ = std::make_unique<std::vector<char>>(found.begin(), found.end());
    return absl::string_view(piece_->data(), piece_->size());
  }

  uint64_t EndOfHole(uint64_t offset) override {
    if (hole_unit_ == 0) return offset;
    uint64_t end = offset;
    while (end < bytes_.size()) {
      const uint64_t begin = end / hole_unit_ * hole_unit_;
      const absl::string_view unit = bytes_.substr(begin, hole_unit_);
      if (unit.find_first_not_of('\0') != absl::string_view::npos) break;
      end = begin + unit.size();
    }
    return end;
  }

  void FailAfter(uint64_t reads) { reads_left_ = reads; }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  const absl::string_view bytes_;
  const size_t window_;
  const size_t hole_unit_;
  uint64_t reads_left_ = UINT64_MAX;
  uint64_t bytes_read_ = 0;
  std::unique_ptr<std::vector<char>> piece_;
};

std::string Print(const RecoveredRecord& r) {
  return absl::StrCat(r.position, "+", r.slot_count,
                      r.is_crash_report ? " crash " : " ", r.head, " ", r.body,
                      "\n");
}

std::string Print(const RingSummary& s) {
  const SlotCounts& n = s.slots;
  return absl::StrCat(
      "end ", s.end_position, ", cursor ", s.cursor.end_position, ", live ",
      s.has_live, " ", s.live.tail, " ", s.live.released, ", slots ",
      n.never_used, " ", n.free, " ", n.filling, " ", n.filled, " ",
      n.persisting, " ", n.skipped, " ", n.damaged, " ", n.absent, "\n");
}

// Prints records and gaps in order of position.
std::string Print(const RecoveredRing& ring) {
  std::string out = Print(static_cast<const RingSummary&>(ring));
  auto gap = ring.gaps.begin();
  for (const RecoveredRecord& record : ring.records) {
    for (; gap != ring.gaps.end() && gap->first_position < record.position;
         ++gap) {
      absl::StrAppend(&out, Describe(*gap), "\n");
    }
    out += Print(record);
  }
  for (; gap != ring.gaps.end(); ++gap) {
    absl::StrAppend(&out, Describe(*gap), "\n");
  }
  return out;
}

// Prints the items that follow.
std::string PrintItems(RingRecovery* ring) {
  std::string out = Print(ring->summary());
  while (true) {
    const absl::StatusOr<RingRecovery::Item> item = ring->Next();
    if (!item.ok()) return absl::StrCat(out, item.status().ToString());
    if (*item == RingRecovery::Item::kEnd) return out;
    absl::StrAppend(&out, *item == RingRecovery::Item::kRecord
                              ? Print(ring->record())
                              : absl::StrCat(Describe(ring->gap()), "\n"));
  }
}

std::string PrintItems(RingSource* source, const RingHeader& header,
                       RecoverFrom from) {
  const auto ring = RingRecovery::Start(source, header, from);
  return ring.ok() ? PrintItems(ring->get()) : ring.status().ToString();
}

// Makes rings of random size and content, and damages them.
class RandomRing {
 public:
  explicit RandomRing(uint64_t seed) : random_(seed) {
    RingOptions options = SmallRing();
    options.slot_count = uint64_t{2} << Below(7);
    options.body_bytes += static_cast<uint32_t>(Below(4) * 64);
    TestRing ring(options);
    for (uint64_t steps = Below(3 * options.slot_count + 8); steps > 0;
         --steps) {
      Use(&ring);
    }
    if (Below(4) == 0) {
      ring.ring().crash_area().Append(7, 1, std::string(Below(200), 'c'));
    }
    header_ = ring.header();
    bytes_ = ring.Bytes();
  }

  void Damage() {
    // A truncated ring stays as it is.
    if (bytes_.size() < header_.file_bytes) return;
    for (uint64_t count = Below(6); count > 0; --count) DamageOnce();
    if (Below(4) == 0) {
      bytes_.resize(header_.live_offset +
                    Below(bytes_.size() - header_.live_offset));
    }
  }

  const RingHeader& header() const { return header_; }
  const std::string& bytes() const { return bytes_; }
  uint64_t Below(uint64_t n) {
    return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_);
  }

 private:
  void Use(TestRing* ring) {
    switch (Below(8)) {
      case 0:
        ring->Read();
        break;
      case 1:
        ring->ring().PublishCursor(ring->ring().take_position(), "state");
        ring->Release();
        break;
      case 2:
        ring->ring().Claim(Severity::kInfo, 1, 1 + Below(300));
        break;
      case 3:
        if (const auto claim =
                ring->ring().Claim(Severity::kInfo, 1, 1 + Below(300))) {
          ring->ring().Abandon(*claim);
        }
        break;
      case 4:
        if (ring->ring().pending()) ring->ring().Skip(kMaxPosition);
        break;
      default:
        ring->Write(
            std::string(Below(400), static_cast<char>('a' + Below(26))));
    }
  }

  void DamageOnce() {
    const uint64_t near = header_.first_position + Below(4 * count());
    char* const slot =
        &bytes_[header_.slots_offset + Below(count()) * header_.slot_bytes];
    switch (Below(6)) {
      case 0:
        bytes_[header_.live_offset +
               Below(bytes_.size() - header_.live_offset)] ^= 1;
        break;
      case 1: {
        const uint64_t word = PackWord(near, static_cast<SlotState>(Below(6)));
        std::memcpy(slot, &word, sizeof word);
        break;
      }
      case 2: {
        const uint64_t zeroed = 1 + Below(count());
        bytes_.replace(header_.slots_offset, zeroed * header_.slot_bytes,
                       zeroed * header_.slot_bytes, '\0');
        break;
      }
      case 3:
        std::memset(slot, static_cast<int>(Below(256)), Below(64));
        break;
      default:
        std::memcpy(&bytes_[header_.live_offset +
                            (Below(2) == 0 ? offsetof(RingLive, tail)
                                           : offsetof(RingLive, released))],
                    &near, sizeof near);
    }
  }
  uint64_t count() const { return header_.slot_count; }

  std::mt19937_64 random_;
  RingHeader header_ = {};
  std::string bytes_;
};

TEST(RingRecoveryTest, WindowAndHolesDoNotChangeTheResult) {
  constexpr int kRings = 400;
  const uint64_t seed = TestSeed();
  for (int i = 0; i < kRings; ++i) {
    RandomRing ring(seed + static_cast<uint64_t>(i));
    for (int damage = 0; damage < 4; ++damage) {
      for (const auto from : {RecoverFrom::kEverything, RecoverFrom::kCursor}) {
        const std::string expected =
            Print(RecoverRing(ring.bytes(), ring.header(), from));
        const size_t window = ring.Below(600);
        const size_t hole_unit = ring.Below(3) * 64;
        PiecewiseSource source(ring.bytes(), window, hole_unit);
        ASSERT_EQ(PrintItems(&source, ring.header(), from), expected)
            << "seed " << seed + static_cast<uint64_t>(i) << ", window "
            << window << ", holes of " << hole_unit;
      }
      ring.Damage();
    }
  }
}

TEST(RingRecoveryTest, RestartGivesTheSameItems) {
  RandomRing random(TestSeed());
  PiecewiseSource source(random.bytes(), 0, 0);
  for (const auto from : {RecoverFrom::kEverything, RecoverFrom::kCursor}) {
    const auto ring =
        RingRecovery::Start(&source, random.header(), RecoverFrom::kCursor);
    ASSERT_TRUE(ring.ok());
    (*ring)->Restart(from);
    const std::string all = PrintItems(ring->get());
    (*ring)->Restart(from);
    ASSERT_TRUE((*ring)->Next().ok());
    (*ring)->Restart(from);
    EXPECT_EQ(PrintItems(ring->get()), all);
    EXPECT_EQ(all, Print(RecoverRing(random.bytes(), random.header(), from)));
  }
}

TEST(RingRecoveryTest, ReadErrorIsReturnedByAllLaterCalls) {
  TestRing test;
  test.Write("a");
  test.Write(std::string(SmallBody(2), 'b'));
  const std::string bytes = test.Bytes();
  const absl::Status error = absl::UnavailableError("read: bad sector");
  for (uint64_t reads = 0;; ++reads) {
    PiecewiseSource source(bytes, 0, 0);
    source.FailAfter(reads);
    const auto ring =
        RingRecovery::Start(&source, test.header(), RecoverFrom::kCursor);
    if (!ring.ok()) {
      EXPECT_EQ(ring.status(), error);
      continue;
    }
    absl::StatusOr<RingRecovery::Item> item = (*ring)->Next();
    while (item.ok() && *item != RingRecovery::Item::kEnd) {
      item = (*ring)->Next();
    }
    if (item.ok()) break;
    EXPECT_EQ(item.status(), error);
    EXPECT_EQ((*ring)->Next().status(), error);
  }
}

// A ring of 16 slots of 256 KiB.
RingOptions LargeSlots() {
  RingOptions options;
  options.slot_count = 16;
  options.head_bytes = 40;
  options.body_bytes = 256 << 10;
  return options;
}

TEST(RingRecoveryTest, LongBodyOfSeveralSlotsIsTruncated) {
  TestRing test(LargeSlots());
  std::string body(2 << 20, 'x');
  body.replace(0, 5, "begin");
  ASSERT_TRUE(test.Write(body));
  std::string bytes = test.Bytes();
  const RecoveredRing ring =
      RecoverRing(bytes, test.header(), RecoverFrom::kCursor);
  ASSERT_EQ(ring.records.size(), 1u);
  EXPECT_EQ(ring.records[0].body, body.substr(0, kMaxRecoveredBodyBytes));
  // All parts are checked, also those that are not returned.
  const uint64_t last = ring.records[0].slot_count - 1;
  bytes[SlotOffset(test.header(), test.header().first_position + last) + 40] ^=
      1;
  const RecoveredRing damaged =
      RecoverRing(bytes, test.header(), RecoverFrom::kCursor);
  EXPECT_TRUE(damaged.records.empty());
  ASSERT_EQ(damaged.gaps.size(), 1u);
  EXPECT_EQ(damaged.gaps[0].cause, GapCause::kChecksumMismatch);
}

TEST(RingRecoveryTest, EachByteIsReadAtMostThreeTimes) {
  RingOptions options;
  options.slot_count = 1024;
  TestRing test(options);
  while (test.Write("some text")) {
  }
  const std::string bytes = test.Bytes();
  PiecewiseSource source(bytes, 4096, 0);
  EXPECT_NE(PrintItems(&source, test.header(), RecoverFrom::kCursor), "");
  EXPECT_LE(source.bytes_read(), 3 * bytes.size());
}

}  // namespace
}  // namespace ringlog
