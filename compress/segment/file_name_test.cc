#include "ringlog/compress/segment/file_name.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr int64_t kTime = 1795489384123456789;  // 2026-11-24 03:03:04.123456789

RingHeader MakeHeader(absl::string_view program, absl::string_view host) {
  RingHeader header = {};
  std::memcpy(header.program, program.data(), program.size());
  std::memcpy(header.host, host.data(), host.size());
  header.process_id = 12345;
  header.created_unix_ns = kTime;
  const uint8_t id[] = {0x0f, 0x3a, 0x9c, 0x1b, 0xff};
  std::memcpy(header.ring_id, id, sizeof id);
  return header;
}

TEST(FileNameTest, NamesHaveTheDocumentedParts) {
  const RingHeader header = MakeHeader("program", "host");
  EXPECT_EQ(RingFileName(header),
            "program.host.20261124-030304.12345.0f3a9c1b.ring");
  EXPECT_EQ(SegmentFileName(header, 1, kTime + 1000000000, LineFormat::kText),
            "program.host.20261124-030305.12345.0f3a9c1b.000001.log.zst");
  EXPECT_EQ(SegmentFileName(header, 1234567, kTime, LineFormat::kJson),
            "program.host.20261124-030304.12345.0f3a9c1b.1234567.jsonl.zst");
  EXPECT_EQ(SegmentFileName(header, 1, kTime, LineFormat::kText, 0x1b),
            "program.host.20261124-030304.12345.0f3a9c1b.000001-0000001b"
            ".log.zst");
  EXPECT_EQ(SymlinkName(header), "program.current.zst");
}

TEST(FileNameTest, CursorNamesItsSegment) {
  const RingHeader header = MakeHeader("program", "host");
  SegmentCursor cursor;
  cursor.segment_number = 7;
  cursor.segment_open_time_ns = kTime;
  cursor.format = LineFormat::kJson;
  for (const uint32_t salt : {0u, 1u, ~0u}) {
    cursor.name_salt = salt;
    const absl::StatusOr<SegmentCursor> decoded =
        DecodeSegmentCursor(EncodeSegmentCursor(cursor));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(SegmentFileName(header, *decoded),
              SegmentFileName(header, 7, kTime, LineFormat::kJson, salt));
  }
}

TEST(FileNameTest, SaltReplacesTheSaltOfASegmentOnly) {
  const RingHeader header = MakeHeader("program", "host");
  for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
    const std::string name = SegmentFileName(header, 7, kTime, format, 9);
    for (const uint32_t salt : {0u, 1u}) {
      EXPECT_EQ(
          WithNameSalt(SegmentFileName(header, 7, kTime, format, salt), 9),
          name);
    }
    EXPECT_EQ(WithNameSalt(name, 0), SegmentFileName(header, 7, kTime, format));
  }
  EXPECT_EQ(WithNameSalt(RingFileName(header), 9), RingFileName(header));
  EXPECT_EQ(WithNameSalt("a.log.zst", 9), "a.log.zst");
}

TEST(FileNameTest, ReplacesHostileBytes) {
  EXPECT_EQ(RingFileName(MakeHeader("../../etc/x", "a.b\n c")),
            "______etc_x.a_b__c.20261124-030304.12345.0f3a9c1b.ring");
  EXPECT_EQ(SymlinkName(MakeHeader("", "")), "_.current.zst");
  EXPECT_EQ(RingFileName(MakeHeader("", "")),
            "_._.20261124-030304.12345.0f3a9c1b.ring");
  // A field without a NUL is used to its end and not beyond it.
  const std::string longest(64, 'p');
  EXPECT_EQ(SymlinkName(MakeHeader(longest, longest)),
            longest + ".current.zst");
}

TEST(FileNameTest, NamesRoundTrip) {
  const RingHeader header = MakeHeader("my-prog_1", "host7");
  const ParsedFileName ring = ParseFileName(RingFileName(header));
  EXPECT_EQ(ring.kind, FileKind::kRing);
  EXPECT_EQ(ring.program, "my-prog_1");
  EXPECT_EQ(ring.host, "host7");
  EXPECT_EQ(ring.process_id, 12345);
  EXPECT_EQ(ring.ring_id_prefix, 0x0f3a9c1bu);
  EXPECT_EQ(ring.time_ns, kTime / 1000000000 * 1000000000);
  for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
    for (const uint64_t number :
         {uint64_t{1}, uint64_t{999999}, uint64_t{1000000}, ~uint64_t{0}}) {
      for (const uint32_t salt : {0u, 1u, ~0u}) {
        const ParsedFileName segment =
            ParseFileName(SegmentFileName(header, number, kTime, format, salt));
        EXPECT_EQ(segment.kind, FileKind::kSegment);
        EXPECT_EQ(segment.segment_number, number);
        EXPECT_EQ(segment.salt, salt);
        EXPECT_EQ(segment.format, format);
        EXPECT_EQ(segment.ring_id_prefix, 0x0f3a9c1bu);
      }
    }
  }
}

TEST(FileNameTest, RejectsSegmentNumberZero) {
  EXPECT_EQ(ParseFileName(SegmentFileName(MakeHeader("program", "host"), 0,
                                          kTime, LineFormat::kText))
                .kind,
            FileKind::kOther);
}

TEST(FileNameTest, RejectsOtherNames) {
  for (const absl::string_view name :
       {"",
        ".",
        "..",
        "ring",
        ".ring",
        "a.ring",
        "program.log.zst",
        "program.current.zst",
        "program.host.20261124-030304.12345.0f3a9c1b",
        "program.host.20261124-030304.12345.0f3a9c1b.ring.tmp",
        ".program.host.20261124-030304.12345.0f3a9c1b.ring",
        "program..20261124-030304.12345.0f3a9c1b.ring",
        "pro gram.host.20261124-030304.12345.0f3a9c1b.ring",
        "program.host.20261324-030304.12345.0f3a9c1b.ring",
        "program.host.20261124-030304.012345.0f3a9c1b.ring",
        "program.host.20261124-030304.x.0f3a9c1b.ring",
        "program.host.20261124-030304.12345.0F3A9C1B.ring",
        "program.host.20261124-030304.12345.f3a9c1b.ring",
        "program.host.20261124-030304.12345.0f3a9c1b0.ring",
        "program.host.20261124-030304.12345.0f3a9c1b.1.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.0000001.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.-00001.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.000001-.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.000001-00000000.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.000001-0F3A9C1B.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.000001-f3a9c1b.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.000001-0f3a9c1b-.log.zst",
        "program.host.20261124-030304.12345.0f3a9c1b.000001.log.gz",
        "program.host.20261124-030304.12345.0f3a9c1b.000001.json.zst"}) {
    EXPECT_EQ(ParseFileName(name).kind, FileKind::kOther) << name;
  }
}

TEST(FileNameTest, SegmentNamesSortByTime) {
  const RingHeader header = MakeHeader("program", "host");
  std::string previous;
  for (uint64_t number = 1; number < 5000; ++number) {
    const std::string name = SegmentFileName(
        header, number, kTime + static_cast<int64_t>(number / 7) * 1000000000,
        LineFormat::kText);
    ASSERT_LT(previous, name);
    previous = name;
  }
}

// Invariants checked: if a damaged name still parses, formatting its parts
// gives the same name.
TEST(FileNameTest, ParsedDamagedNameIsExact) {
  std::mt19937_64 random(TestSeed());
  const RingHeader origin = MakeHeader("p", "h");
  const std::string good[] = {
      SegmentFileName(origin, 42, kTime, LineFormat::kText),
      SegmentFileName(origin, 42, kTime, LineFormat::kText, 0x1b2c)};
  constexpr absl::string_view kBytes("0123456789abcdefp.-_ /", 22);
  for (int i = 0; i < 50000; ++i) {
    std::string name = good[i % 2];
    for (uint64_t n = random() % 3 + 1; n > 0; --n) {
      name[random() % name.size()] = kBytes[random() % kBytes.size()];
    }
    const ParsedFileName parsed = ParseFileName(name);
    if (parsed.kind == FileKind::kOther) continue;
    ASSERT_EQ(parsed.kind, FileKind::kSegment) << name;
    RingHeader header = MakeHeader(parsed.program, parsed.host);
    header.process_id = parsed.process_id;
    for (unsigned byte = 0; byte < 4; ++byte) {
      header.ring_id[byte] =
          static_cast<uint8_t>(parsed.ring_id_prefix >> (24 - 8 * byte));
    }
    ASSERT_EQ(SegmentFileName(header, parsed.segment_number, parsed.time_ns,
                              parsed.format, parsed.salt),
              name);
  }
}

TEST(RotationTest, SegmentIsFullAtItsLimit) {
  RotationOptions options;
  options.max_segment_bytes = 100;
  EXPECT_FALSE(ShouldRotate(options, 99));
  EXPECT_TRUE(ShouldRotate(options, 100));
  EXPECT_TRUE(ShouldRotate(options, 101));
  options.max_segment_bytes = 0;
  EXPECT_FALSE(ShouldRotate(options, ~uint64_t{0}));
}

}  // namespace
}  // namespace ringlog
