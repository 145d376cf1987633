#include "ringlog/compress/segment/segment_format.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/harness/hex_dump.h"
#include "ringlog/testing/harness/test_files.h"
#include "zstd.h"

namespace ringlog {
namespace {

// Offsets and sizes of fields in compress/FORMAT.md.
constexpr size_t kMajorOffset = 8;
constexpr size_t kMinorOffset = 10;
constexpr size_t kFixedBytesOffset = 12;
constexpr size_t kFormatOffset = 132;
constexpr size_t kGapBytesOffset = 134;
constexpr size_t kListedGapsOffset = 136;
constexpr size_t kFixedBytes = 144;
constexpr size_t kGapBytes = 72;

// Returns a summary with a different value in each field.
FrameSummary MakeSummary() {
  FrameSummary summary;
  summary.first_position = 11;
  summary.end_position = 22;
  summary.records = {31, 32, 33, 34};
  summary.min_time_ns = -44;
  summary.max_time_ns = 55;
  summary.text_bytes = 66;
  return summary;
}

FrameMetadata MakeMetadata(size_t gap_count = 2) {
  FrameMetadata metadata;
  for (size_t i = 0; i < metadata.identity.ring_id.size(); ++i) {
    metadata.identity.ring_id[i] = static_cast<uint8_t>(i + 1);
  }
  metadata.identity.number = 77;
  metadata.identity.format = LineFormat::kJson;
  metadata.identity.is_recovered = true;
  metadata.compressed_bytes = 88;
  metadata.text_checksum = 99;
  metadata.summary = MakeSummary();
  for (size_t i = 0; i < gap_count; ++i) {
    Gap gap;
    gap.cause = static_cast<GapCause>(i % 8);
    gap.first_position = 100 + i;
    gap.end_position = 200 + i;
    gap.records = {i, 2, 3, 4};
    gap.thread_id = static_cast<int64_t>(4711 + i);
    gap.first_time_ns = -5;
    gap.last_time_ns = 6;
    metadata.gaps.push_back(gap);
  }
  metadata.gap_count = gap_count + 1000;
  return metadata;
}

void ExpectSameSummary(const FrameSummary& a, const FrameSummary& b) {
  EXPECT_EQ(a.first_position, b.first_position);
  EXPECT_EQ(a.end_position, b.end_position);
  EXPECT_EQ(a.records, b.records);
  EXPECT_EQ(a.min_time_ns, b.min_time_ns);
  EXPECT_EQ(a.max_time_ns, b.max_time_ns);
  EXPECT_EQ(a.text_bytes, b.text_bytes);
}

void ExpectSameGap(const Gap& a, const Gap& b) {
  EXPECT_EQ(a.cause, b.cause);
  EXPECT_EQ(a.first_position, b.first_position);
  EXPECT_EQ(a.end_position, b.end_position);
  EXPECT_EQ(a.records, b.records);
  EXPECT_EQ(a.thread_id, b.thread_id);
  EXPECT_EQ(a.first_time_ns, b.first_time_ns);
  EXPECT_EQ(a.last_time_ns, b.last_time_ns);
}

void ExpectSameMetadata(const FrameMetadata& a, const FrameMetadata& b) {
  EXPECT_EQ(a.identity.ring_id, b.identity.ring_id);
  EXPECT_EQ(a.identity.number, b.identity.number);
  EXPECT_EQ(a.identity.format, b.identity.format);
  EXPECT_EQ(a.identity.is_recovered, b.identity.is_recovered);
  EXPECT_EQ(a.compressed_bytes, b.compressed_bytes);
  EXPECT_EQ(a.text_checksum, b.text_checksum);
  ExpectSameSummary(a.summary, b.summary);
  EXPECT_EQ(a.gap_count, b.gap_count);
  ASSERT_EQ(a.gaps.size(), b.gaps.size());
  for (size_t i = 0; i < a.gaps.size(); ++i) {
    ExpectSameGap(a.gaps[i], b.gaps[i]);
  }
}

std::string Payload(const FrameMetadata& metadata) {
  return EncodeMetadataFrame(metadata).substr(kSkippableHeaderBytes);
}

// Returns `payload` with a matching checksum.
std::string WithChecksum(std::string payload) {
  const size_t covered = payload.size() - 4;
  const auto crc = static_cast<uint32_t>(
      absl::ComputeCrc32c(absl::string_view(payload).substr(0, covered)));
  std::memcpy(payload.data() + covered, &crc, sizeof crc);
  return payload;
}

template <typename Int>
std::string With(std::string payload, size_t offset, Int value) {
  std::memcpy(payload.data() + offset, &value, sizeof value);
  return WithChecksum(payload);
}

absl::StatusCode CodeOf(absl::string_view payload) {
  return DecodeMetadataPayload(payload).status().code();
}

TEST(MetadataFrameTest, RoundTripsEveryField) {
  for (const size_t gap_count :
       {size_t{0}, size_t{1}, size_t{20}, kMaxFrameGaps}) {
    const FrameMetadata metadata = MakeMetadata(gap_count);
    const auto decoded = DecodeMetadataPayload(Payload(metadata));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ExpectSameMetadata(*decoded, metadata);
  }
}

TEST(MetadataFrameTest, MatchesFormatPage) {
  FrameMetadata metadata;
  for (size_t i = 0; i < metadata.identity.ring_id.size(); ++i) {
    metadata.identity.ring_id[i] = static_cast<uint8_t>(i);
  }
  metadata.identity.number = 1;
  metadata.compressed_bytes = 65;
  metadata.text_checksum = 0x12345678;
  metadata.summary.first_position = 6;
  metadata.summary.end_position = 7;
  metadata.summary.records = {0, 1, 0, 0};
  metadata.summary.min_time_ns = 1795399384123456789;
  metadata.summary.max_time_ns = 1795399384123456789;
  metadata.summary.text_bytes = 52;
  EXPECT_THAT(ReadFile("compress/FORMAT.md"),
              ::testing::HasSubstr(
                  "\n\n" + HexDump(EncodeMetadataFrame(metadata)) + "\n"));
}

TEST(MetadataFrameTest, ZstdSkipsMetadataFrame) {
  const std::string frame = EncodeMetadataFrame(MakeMetadata());
  EXPECT_EQ(ZSTD_findFrameCompressedSize(frame.data(), frame.size()),
            frame.size());
  char nothing;
  EXPECT_EQ(ZSTD_decompress(&nothing, 0, frame.data(), frame.size()), 0u);
}

TEST(MetadataFrameTest, CountsUnlistedGaps) {
  FrameMetadata metadata = MakeMetadata(kMaxFrameGaps + 5);
  metadata.gap_count = kMaxFrameGaps + 5;
  const auto decoded = DecodeMetadataPayload(Payload(metadata));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->gaps.size(), kMaxFrameGaps);
  EXPECT_EQ(decoded->gap_count, kMaxFrameGaps + 5);
  EXPECT_LE(Payload(metadata).size(), kMaxMetadataPayloadBytes);
}

TEST(MetadataFrameTest, RejectsEveryFlippedBit) {
  const std::string good = Payload(MakeMetadata());
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    // A frame with another magic belongs to another program.
    EXPECT_EQ(CodeOf(bad), bit < 64 ? absl::StatusCode::kNotFound
                                    : absl::StatusCode::kDataLoss)
        << bit;
  }
}

TEST(MetadataFrameTest, RejectsEveryOtherLength) {
  const std::string good = Payload(MakeMetadata());
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    EXPECT_EQ(CodeOf(good.substr(0, bytes)), bytes < 8
                                                 ? absl::StatusCode::kNotFound
                                                 : absl::StatusCode::kDataLoss)
        << bytes;
  }
  EXPECT_EQ(CodeOf(good + '\0'), absl::StatusCode::kDataLoss);
}

TEST(MetadataFrameTest, IgnoresFieldsOfLaterMinorVersion) {
  const FrameMetadata metadata = MakeMetadata();
  const std::string payload = Payload(metadata);
  // 16 more bytes in the fixed part, 8 more in each gap, and some after them.
  std::string later = payload.substr(0, kFixedBytes) + std::string(16, 'n');
  for (size_t i = 0; i < metadata.gaps.size(); ++i) {
    later +=
        payload.substr(kFixedBytes + i * kGapBytes, kGapBytes) + "new part";
  }
  later += "after." + std::string(4, '\0');
  later = With<uint16_t>(later, kMinorOffset, 1);
  later = With<uint32_t>(later, kFixedBytesOffset, kFixedBytes + 16);
  later = With<uint16_t>(later, kGapBytesOffset, kGapBytes + 8);
  const auto decoded = DecodeMetadataPayload(later);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectSameMetadata(*decoded, metadata);
}

TEST(MetadataFrameTest, UnknownCauseIsLoss) {
  const std::string payload = Payload(MakeMetadata(1));
  constexpr size_t kCauseOffset = kFixedBytes + 64;
  const auto decoded =
      DecodeMetadataPayload(With<uint8_t>(payload, kCauseOffset, 200));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(IsLoss(decoded->gaps[0].cause));
}

TEST(MetadataFrameTest, LaterMajorVersionIsUnimplemented) {
  const std::string payload = Payload(MakeMetadata());
  const std::string later = With<uint16_t>(payload, kMajorOffset, 2);
  EXPECT_EQ(CodeOf(later), absl::StatusCode::kUnimplemented);
  // Even a short payload is recognized by its version.
  EXPECT_EQ(CodeOf(WithChecksum(later.substr(0, 20))),
            absl::StatusCode::kUnimplemented);
}

TEST(MetadataFrameTest, RejectsContradictoryLengths) {
  const std::string payload = Payload(MakeMetadata());
  for (const std::string& bad :
       {With<uint32_t>(payload, kFixedBytesOffset, kFixedBytes - 1),
        With<uint32_t>(payload, kFixedBytesOffset, ~uint32_t{0}),
        With<uint32_t>(payload, kFixedBytesOffset,
                       static_cast<uint32_t>(payload.size())),
        With<uint16_t>(payload, kGapBytesOffset, 0),
        With<uint16_t>(payload, kGapBytesOffset, kGapBytes - 1),
        With<uint16_t>(payload, kGapBytesOffset, kGapBytes + 1),
        With<uint32_t>(payload, kListedGapsOffset, 3),
        With<uint32_t>(payload, kListedGapsOffset, ~uint32_t{0}),
        With<uint8_t>(payload, kFormatOffset, 2)}) {
    EXPECT_EQ(CodeOf(bad), absl::StatusCode::kDataLoss);
  }
}

SegmentCursor MakeCursor() {
  SegmentCursor cursor;
  cursor.segment_number = 1;
  cursor.segment_open_time_ns = -2;
  cursor.segment_bytes = 4;
  cursor.frame_offset = 3;
  cursor.format = LineFormat::kJson;
  cursor.open_frame = MakeSummary();
  uint64_t next = 1000;
  for (auto& cause : cursor.reported_drops) {
    for (uint64_t& count : cause) count = next++;
  }
  return cursor;
}

void ExpectSameCursor(const SegmentCursor& a, const SegmentCursor& b) {
  EXPECT_EQ(a.segment_number, b.segment_number);
  EXPECT_EQ(a.segment_open_time_ns, b.segment_open_time_ns);
  EXPECT_EQ(a.segment_bytes, b.segment_bytes);
  EXPECT_EQ(a.frame_offset, b.frame_offset);
  EXPECT_EQ(a.format, b.format);
  ExpectSameSummary(a.open_frame, b.open_frame);
  EXPECT_EQ(a.reported_drops, b.reported_drops);
}

TEST(SegmentCursorTest, RoundTripsEveryField) {
  const auto decoded = DecodeSegmentCursor(EncodeSegmentCursor(MakeCursor()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectSameCursor(*decoded, MakeCursor());
}

TEST(SegmentCursorTest, LargestCursorFitsInRing) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  SegmentCursor cursor;
  cursor.segment_number = kMax - 1;
  cursor.segment_bytes = cursor.frame_offset = kMax;
  cursor.segment_open_time_ns = std::numeric_limits<int64_t>::min();
  cursor.open_frame.records.fill(kMax);
  cursor.open_frame.end_position = kMax;
  cursor.open_frame.text_bytes = kMax;
  for (auto& cause : cursor.reported_drops) cause.fill(kMax);
  const std::string state = EncodeSegmentCursor(cursor);
  EXPECT_LE(state.size(), 480u);
  const auto decoded = DecodeSegmentCursor(state);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectSameCursor(*decoded, cursor);
}

// No number would be left for the segment after it.
TEST(SegmentCursorTest, LastNumberOfASegmentIsDataLoss) {
  SegmentCursor cursor = MakeCursor();
  cursor.segment_number = std::numeric_limits<uint64_t>::max();
  EXPECT_TRUE(absl::IsDataLoss(
      DecodeSegmentCursor(EncodeSegmentCursor(cursor)).status()));
}

TEST(SegmentCursorTest, IgnoresBytesOfLaterMinorVersion) {
  std::string state = EncodeSegmentCursor(MakeCursor());
  state[2] = 1;
  state.resize(480, 'n');
  const auto decoded = DecodeSegmentCursor(state);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectSameCursor(*decoded, MakeCursor());
}

TEST(SegmentCursorTest, LaterMajorVersionIsUnimplemented) {
  std::string state = EncodeSegmentCursor(MakeCursor());
  state[0] = 2;
  EXPECT_EQ(DecodeSegmentCursor(state).status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_EQ(DecodeSegmentCursor(state.substr(0, 2)).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(SegmentCursorTest, RejectsInvalidCursors) {
  const std::string good = EncodeSegmentCursor(MakeCursor());
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    EXPECT_EQ(DecodeSegmentCursor(good.substr(0, bytes)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  std::string bad = good;
  bad[4] = 2;
  EXPECT_FALSE(DecodeSegmentCursor(bad).ok()) << "invalid format";
  SegmentCursor cursor = MakeCursor();
  cursor.frame_offset = cursor.segment_bytes + 1;
  EXPECT_FALSE(DecodeSegmentCursor(EncodeSegmentCursor(cursor)).ok());
  cursor = MakeCursor();
  cursor.open_frame.first_position = cursor.open_frame.end_position + 1;
  EXPECT_FALSE(DecodeSegmentCursor(EncodeSegmentCursor(cursor)).ok());
}

TEST(SegmentCursorTest, RejectsOpenFrameAboveThePersistCursor) {
  const std::string state = EncodeSegmentCursor(MakeCursor());
  PersistCursor cursor = {};
  std::memcpy(cursor.state, state.data(), state.size());
  cursor.state_bytes = static_cast<uint32_t>(state.size());
  cursor.end_position = MakeCursor().open_frame.end_position;
  EXPECT_TRUE(DecodeSegmentCursor(cursor).ok());
  cursor.end_position -= 1;
  EXPECT_EQ(DecodeSegmentCursor(cursor).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(FrameSummaryTest, AddCombinesBothSummaries) {
  FrameSummary sum;
  sum.Add(MakeSummary());
  ExpectSameSummary(sum, MakeSummary());
  FrameSummary later;
  later.first_position = 22;
  later.end_position = 30;
  // Without records, `later` has no times.
  sum.Add(later);
  EXPECT_EQ(sum.min_time_ns, -44);
  EXPECT_EQ(sum.end_position, 30u);
  later.records = {1, 0, 0, 0};
  later.min_time_ns = -100;
  later.max_time_ns = -90;
  later.text_bytes = 4;
  sum.Add(later);
  EXPECT_EQ(sum.first_position, 11u);
  EXPECT_EQ(sum.min_time_ns, -100);
  EXPECT_EQ(sum.max_time_ns, 55);
  EXPECT_EQ(sum.record_count(), 131u);
  EXPECT_EQ(sum.text_bytes, 70u);
}

}  // namespace
}  // namespace ringlog
