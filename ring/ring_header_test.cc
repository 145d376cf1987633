#include "ringlog/ring/ring_header.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

RingHeader ValidHeader() {
  RingHeader h = {};
  std::memcpy(h.magic, "\x89RINGLOG", 8);
  h.endian_mark = 0x01020304;
  h.major_version = 1;
  h.header_bytes = 448;
  h.slot_bytes = 512;
  h.slot_count = 64;
  h.head_bytes = 128;
  h.body_bytes = 352;
  h.live_offset = 4096;
  h.crash_offset = 8192;
  h.crash_bytes = 65536;
  h.slots_offset = 8192 + 65536;
  h.file_bytes = h.slots_offset + uint64_t{64} * 512;
  std::memcpy(h.ring_id, "0123456789abcdef", 16);
  std::memcpy(h.boot_id, "fedcba9876543210", 16);
  h.process_id = 4711;
  h.process_start_ticks = 123456;
  h.first_position = 1;
  std::strcpy(h.host, "host");
  std::strcpy(h.program, "program");
  return h;
}

// The first 4096 bytes of a file, with two intact headers.
class RingHeaderTest : public ::testing::Test {
 protected:
  void SetUp() override { Put(ValidHeader()); }

  // Computes the checksum as a writer of this version.
  void Put(RingHeader header) {
    header.crc32c = static_cast<uint32_t>(absl::ComputeCrc32c(absl::string_view(
        reinterpret_cast<const char*>(&header), sizeof header - 4)));
    header_ = header;
    PutAt(0);
    PutAt(2048);
  }
  void PutAt(size_t offset) {
    std::memcpy(&file_[offset], &header_, sizeof header_);
  }
  void PutChanged(const std::function<void(RingHeader&)>& change) {
    RingHeader header = ValidHeader();
    change(header);
    Put(header);
  }
  void Flip(size_t bit) {
    file_[bit / 8] = static_cast<char>(file_[bit / 8] ^ (1 << bit % 8));
  }
  absl::StatusOr<RingHeader> Parse() { return ParseRingHeader(file_); }
  bool ParsesToWhatWasWritten() {
    const auto parsed = Parse();
    return parsed.ok() && std::memcmp(&*parsed, &header_, sizeof header_) == 0;
  }
  void ExpectError(absl::StatusCode code, absl::string_view message) {
    const absl::Status status = Parse().status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(message)));
  }

  std::string file_ = std::string(4096, '\0');
  RingHeader header_ = {};
};

TEST_F(RingHeaderTest, IntactHeaderIsReturnedAsWritten) {
  EXPECT_TRUE(ParsesToWhatWasWritten());
  EXPECT_EQ(RingHeaderChecksum(header_), header_.crc32c);
}

TEST_F(RingHeaderTest, ParsesUnalignedBytes) {
  for (size_t shift = 1; shift < 8; ++shift) {
    const std::string shifted = std::string(shift, 'x') + file_;
    EXPECT_TRUE(ParseRingHeader(absl::string_view(shifted).substr(shift)).ok());
  }
}

// ---- Damage ----

TEST_F(RingHeaderTest, FlippedBitFallsBackToCopy) {
  for (size_t bit = 0; bit < sizeof(RingHeader) * 8; ++bit) {
    PutAt(0);
    Flip(bit);
    EXPECT_TRUE(ParsesToWhatWasWritten()) << bit;
  }
}

TEST_F(RingHeaderTest, FlippedBitInCopyIsIgnored) {
  for (size_t bit = 0; bit < sizeof(RingHeader) * 8; ++bit) {
    PutAt(2048);
    Flip(size_t{2048} * 8 + bit);
    EXPECT_TRUE(ParsesToWhatWasWritten()) << bit;
  }
}

TEST_F(RingHeaderTest, FlippedBitsInBothAreDetected) {
  for (size_t bit = 0; bit < sizeof(RingHeader) * 8; ++bit) {
    PutAt(0);
    PutAt(2048);
    Flip(bit);
    Flip(size_t{2048} * 8 + (bit * 7) % (sizeof(RingHeader) * 8));
    EXPECT_FALSE(Parse().ok()) << bit;
  }
}

TEST_F(RingHeaderTest, ZeroedHeaderFallsBackToCopy) {
  std::memset(&file_[0], 0, sizeof(RingHeader));
  EXPECT_TRUE(ParsesToWhatWasWritten());
}

TEST_F(RingHeaderTest, BothDamagedIsDataLoss) {
  file_[100] ^= 1;
  file_[2048 + 200] ^= 1;
  ExpectError(absl::StatusCode::kDataLoss, "checksum");
}

TEST_F(RingHeaderTest, FlippedVersionIsDataLoss) {
  for (const size_t first : {size_t{0}, size_t{2048}}) {
    PutAt(0);
    PutAt(2048);
    Flip((first + offsetof(RingHeader, major_version)) * 8 + 3);
    Flip((2048 - first + offsetof(RingHeader, ring_id)) * 8);
    ExpectError(absl::StatusCode::kDataLoss, "checksum");
  }
}

TEST_F(RingHeaderTest, TruncatedHeaderIsDataLoss) {
  for (size_t size = 0; size < sizeof(RingHeader); ++size) {
    EXPECT_EQ(ParseRingHeader(file_.substr(0, size)).status().code(),
              size == 0 ? absl::StatusCode::kInvalidArgument
                        : absl::StatusCode::kDataLoss)
        << size;
  }
  for (const size_t size : {sizeof(RingHeader), size_t{2048}, size_t{2100}}) {
    EXPECT_TRUE(ParseRingHeader(file_.substr(0, size)).ok()) << size;
  }
}

TEST_F(RingHeaderTest, OtherFilesAreNotRings) {
  for (const char* text :
       {"", "RINGLOG", "I20261123 02:03:04.1 a log line\n"}) {
    file_ = text;
    ExpectError(absl::StatusCode::kInvalidArgument, "not a ring file");
  }
  file_.assign(4096, '\0');
  ExpectError(absl::StatusCode::kInvalidArgument, "not a ring file");
}

// ---- Versions ----

TEST_F(RingHeaderTest, LaterMajorVersionIsRejected) {
  PutChanged([](RingHeader& h) {
    h.major_version = 2;
    h.minor_version = 7;
  });
  ExpectError(absl::StatusCode::kUnimplemented, "version 2.7");
}

TEST_F(RingHeaderTest, LongerHeaderOfLaterMinorIsRead) {
  RingHeader header = ValidHeader();
  header.minor_version = 9;
  header.header_bytes = 600;
  std::string longer(600, '\x77');
  std::memcpy(&longer[0], &header, sizeof header);
  std::memset(&longer[444], 0x77,
              4);  // a field of the longer header, in the place of our checksum
  const auto crc = static_cast<uint32_t>(
      absl::ComputeCrc32c(absl::string_view(longer).substr(0, 596)));
  std::memcpy(&longer[596], &crc, sizeof crc);
  file_.replace(0, longer.size(), longer);
  std::memset(&file_[2048], 0, 600);
  const auto parsed = Parse();
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->minor_version, 9);
  file_[500] ^= 1;
  ExpectError(absl::StatusCode::kDataLoss, "checksum");
}

TEST_F(RingHeaderTest, UnknownIncompatibleFlagIsRejected) {
  for (int bit = 0; bit < 32; ++bit) {
    PutChanged([&](RingHeader& h) { h.incompatible_flags = 1u << bit; });
    ExpectError(absl::StatusCode::kUnimplemented, "features");
  }
}

TEST_F(RingHeaderTest, IgnoresCompatibleFlagsAndReserved) {
  PutChanged([](RingHeader& h) {
    h.compatible_flags = UINT32_MAX;
    h.reserved_tail = UINT32_MAX;
    std::memset(h.reserved, 0xff, sizeof h.reserved);
  });
  EXPECT_TRUE(ParsesToWhatWasWritten());
}

TEST_F(RingHeaderTest, OtherByteOrderIsRejected) {
  PutChanged([](RingHeader& h) { h.endian_mark = 0x04030201; });
  ExpectError(absl::StatusCode::kUnimplemented, "byte order");
}

// ---- Matching checksums with invalid fields ----

TEST_F(RingHeaderTest, InconsistentFieldsAreRejected) {
  using Change = std::function<void(RingHeader&)>;
  const Change changes[] = {
      [](RingHeader& h) { h.endian_mark = 0x11111111; },
      [](RingHeader& h) { h.slot_count = 0; },
      [](RingHeader& h) { h.slot_count = 1; },
      [](RingHeader& h) { h.slot_count = 63; },
      [](RingHeader& h) { h.slot_count = uint64_t{1} << 27; },
      [](RingHeader& h) { h.slot_count = uint64_t{1} << 63; },
      [](RingHeader& h) { h.slot_bytes = 0; },
      [](RingHeader& h) { h.slot_bytes = 448; },  // too small for its parts
      [](RingHeader& h) { h.slot_bytes = 520; },  // not a multiple of 64
      [](RingHeader& h) { h.slot_bytes = 0xffffffc0; },
      [](RingHeader& h) { h.head_bytes = 4097; },
      [](RingHeader& h) { h.body_bytes = UINT32_MAX; },
      [](RingHeader& h) { h.first_position = 0; },
      [](RingHeader& h) { h.first_position = (uint64_t{1} << 60) + 1; },
      [](RingHeader& h) { h.file_bytes += 1; },
      [](RingHeader& h) { h.file_bytes = 0; },
      [](RingHeader& h) { h.live_offset = 0; },
      [](RingHeader& h) { h.live_offset = 4096 - 64; },
      [](RingHeader& h) { h.live_offset = 4096 + 8; },
      [](RingHeader& h) { h.live_offset = h.slots_offset - 64; },
      [](RingHeader& h) { h.live_offset = UINT64_MAX - 63; },
      [](RingHeader& h) { h.crash_offset = 0; },
      [](RingHeader& h) { h.crash_offset = h.slots_offset; },
      [](RingHeader& h) { h.crash_offset = UINT64_MAX; },
      [](RingHeader& h) { h.crash_bytes = UINT64_MAX; },
      [](RingHeader& h) { h.crash_bytes += 64; },
      [](RingHeader& h) {
        h.slots_offset += 8;
        h.file_bytes += 8;
      },
      [](RingHeader& h) {
        h.slots_offset = (uint64_t{4} << 30) + 64;
        h.file_bytes = h.slots_offset + h.slot_count * h.slot_bytes;
      },
  };
  int i = 0;
  for (const Change& change : changes) {
    PutChanged(change);
    EXPECT_EQ(Parse().status().code(), absl::StatusCode::kDataLoss)
        << "change " << i;
    ++i;
  }
}

TEST_F(RingHeaderTest, HeaderReachingIntoCopyIsRejected) {
  for (const uint32_t bytes : {0u, 4u, 447u, 2049u, 4096u, UINT32_MAX}) {
    PutChanged([&](RingHeader& h) { h.header_bytes = bytes; });
    EXPECT_EQ(Parse().status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

// ---- The persist cursor ----

class PersistCursorTest : public ::testing::Test {
 protected:
  PersistCursor MakeCursor(uint64_t sequence, uint64_t end_position) {
    PersistCursor cursor = {};
    cursor.sequence = sequence;
    cursor.end_position = end_position;
    cursor.state_bytes = 5;
    std::memcpy(cursor.state, "state", 5);
    Seal(&cursor);
    return cursor;
  }
  void Seal(PersistCursor* cursor) {
    // The ring id, then all bytes before the checksum: 508.
    std::string covered(reinterpret_cast<const char*>(header_.ring_id), 16);
    covered.append(reinterpret_cast<const char*>(cursor), 508);
    cursor->crc32c = static_cast<uint32_t>(absl::ComputeCrc32c(covered));
  }
  PersistCursor Parse() {
    return ParsePersistCursor(
        absl::string_view(reinterpret_cast<const char*>(&live_), sizeof live_),
        header_);
  }

  RingHeader header_ = ValidHeader();
  RingLive live_ = {};
};

TEST_F(PersistCursorTest, NoCursorHasSequenceZero) {
  EXPECT_EQ(Parse().sequence, 0u);
  EXPECT_EQ(ParsePersistCursor("", header_).sequence, 0u);
}

TEST_F(PersistCursorTest, GreaterSequenceCounts) {
  for (const uint64_t selector : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
    live_.cursor_selector = selector;
    live_.cursor[0] = MakeCursor(7, 70);
    live_.cursor[1] = MakeCursor(8, 80);
    EXPECT_EQ(Parse().end_position, 80u);
    std::swap(live_.cursor[0], live_.cursor[1]);
    EXPECT_EQ(Parse().end_position, 80u);
  }
}

TEST_F(PersistCursorTest, FlippedBitFallsBackToPrevious) {
  live_.cursor[0] = MakeCursor(7, 70);
  for (size_t bit = 0; bit < sizeof(PersistCursor) * 8; ++bit) {
    live_.cursor[1] = MakeCursor(8, 80);
    reinterpret_cast<unsigned char*>(&live_.cursor[1])[bit / 8] ^=
        static_cast<unsigned char>(1 << bit % 8);
    EXPECT_EQ(Parse().end_position, 70u) << bit;
  }
}

TEST_F(PersistCursorTest, CursorOfAnotherRingIsIgnored) {
  live_.cursor[0] = MakeCursor(7, 70);
  header_.ring_id[0] ^= 1;
  EXPECT_EQ(Parse().sequence, 0u);
}

TEST_F(PersistCursorTest, ImpossibleFieldsAreIgnored) {
  live_.cursor[0] = MakeCursor(7, kMaxPosition + 1);
  EXPECT_EQ(Parse().sequence, 0u);
  live_.cursor[0] = MakeCursor(7, 70);
  live_.cursor[0].state_bytes = 481;
  Seal(&live_.cursor[0]);
  EXPECT_EQ(Parse().sequence, 0u);
}

TEST_F(PersistCursorTest, TruncatedCursorFallsBackToPrevious) {
  live_.cursor[0] = MakeCursor(7, 70);
  live_.cursor[1] = MakeCursor(8, 80);
  const absl::string_view bytes(reinterpret_cast<const char*>(&live_),
                                sizeof live_);
  EXPECT_EQ(ParsePersistCursor(bytes.substr(0, 1535), header_).sequence, 7u);
  EXPECT_EQ(ParsePersistCursor(bytes.substr(0, 1023), header_).sequence, 0u);
}

// Every moment of a publication at which a process can die.
TEST_F(PersistCursorTest, KillDoesNotDamageLatest) {
  EXPECT_FALSE(LatestCursorIsDamaged(live_, header_));
  for (uint64_t sequence = 1; sequence < 5; ++sequence) {
    const uint64_t at = 1 - (live_.cursor_selector & 1);
    const PersistCursor before = live_.cursor[at];
    const PersistCursor cursor = MakeCursor(sequence, sequence * 10);
    for (size_t bytes = 1; sequence > 1 && bytes <= sizeof cursor; ++bytes) {
      live_.cursor[at] = before;
      std::memcpy(&live_.cursor[at], &cursor, bytes);
      EXPECT_FALSE(LatestCursorIsDamaged(live_, header_)) << bytes;
    }
    live_.cursor[at] = cursor;
    EXPECT_FALSE(LatestCursorIsDamaged(live_, header_));
    live_.cursor_selector = at;
    EXPECT_FALSE(LatestCursorIsDamaged(live_, header_));
  }
}

TEST_F(PersistCursorTest, DetectsFlippedBitOfLatest) {
  live_.cursor[0] = MakeCursor(7, 70);
  live_.cursor_selector = 1;
  for (size_t bit = 0; bit < sizeof(PersistCursor) * 8; ++bit) {
    live_.cursor[1] = MakeCursor(8, 80);
    reinterpret_cast<unsigned char*>(&live_.cursor[1])[bit / 8] ^=
        static_cast<unsigned char>(1 << bit % 8);
    EXPECT_TRUE(LatestCursorIsDamaged(live_, header_)) << bit;
  }
  live_.cursor[1] = PersistCursor{};
  EXPECT_TRUE(LatestCursorIsDamaged(live_, header_)) << "zeroed";
}

}  // namespace
}  // namespace ringlog
