// Tests SegmentReader on files that an attacker made to cost time or memory.
// The files are so long that a reader in quadratic time would exceed the time
// limit of the test.
//
// Invariants checked:
//   - a file is read to its end, in time proportional to its length
//   - every unused byte is in a region, and there are few regions

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/testing/fixtures/read_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr size_t kFileBytes = 2 << 20;
// kMaxSkippedRegions, and one for truncation.
constexpr size_t kMostRegions = 1001;

const std::string kHeader("\x28\xB5\x2F\xFD\x00\x58", 6);
// A raw block with as many bytes as kHeader.
const std::string kRawBlock("\x30\x00\x00", 3);
const std::string kReservedBlock("\x06\x00\x00", 3);
const std::string kLastEmptyBlock("\x01\x00\x00", 3);
const std::string kEmptyFrame = kHeader + kLastEmptyBlock;
// kOurFrame is kEmptyFrame with this checksum.
constexpr uint32_t kChecksum = 0x51D8E999;
const std::string kOurFrame(
    "\x28\xB5\x2F\xFD\x04\x58\x01\x00\x00"
    "\x99\xE9\xD8\x51",
    13);

std::string Repeated(absl::string_view piece, size_t bytes) {
  std::string all;
  all.reserve(bytes + piece.size());
  while (all.size() < bytes) absl::StrAppend(&all, piece);
  return all;
}

// Returns the metadata frame of a frame of `frame_bytes` bytes.
std::string Metadata(uint64_t frame_bytes) {
  FrameMetadata metadata;
  metadata.identity.ring_id = {1};
  metadata.identity.number = 1;
  metadata.compressed_bytes = frame_bytes;
  metadata.text_checksum = kChecksum;
  return EncodeMetadataFrame(metadata);
}

class SegmentReaderHostileTest : public ::testing::Test {
 protected:
  void Read(const std::string& bytes) {
    const std::string path = MakeTestDirectory() + "/hostile";
    WriteFile(path, bytes);
    absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
        SegmentReader::Open(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    text_ = absl::StrJoin(ReadRecords(reader->get()), "");
    skipped_ = (*reader)->skipped();
    EXPECT_LE(skipped_.size(), kMostRegions);
    uint64_t last_end = 0;
    for (const SkippedRegion& region : skipped_) {
      EXPECT_LE(last_end, region.begin);
      EXPECT_LE(region.begin, region.end);
      EXPECT_LE(region.end, bytes.size());
      last_end = region.end;
    }
  }

  bool IsReported(uint64_t offset) const {
    for (const SkippedRegion& region : skipped_) {
      if (offset >= region.begin && offset < region.end) return true;
    }
    return false;
  }

  std::string text_;
  std::vector<SkippedRegion> skipped_;
};

TEST_F(SegmentReaderHostileTest, ReadsNestedFramesToTheEnd) {
  const std::string nested =
      kHeader + Repeated(kRawBlock + kHeader, kFileBytes);
  for (const std::string& end :
       {kReservedBlock, kLastEmptyBlock + "x", std::string()}) {
    ASSERT_NO_FATAL_FAILURE(Read(nested + end));
    ASSERT_FALSE(skipped_.empty());
    EXPECT_EQ(skipped_.back().end, nested.size() + end.size());
  }
}

TEST_F(SegmentReaderHostileTest, ReadsNestedFramesWithWrongChecksum) {
  // The descriptor announces a checksum.
  const std::string header("\x28\xB5\x2F\xFD\x04\x58", 6);
  ASSERT_NO_FATAL_FAILURE(
      Read(absl::StrCat(header, Repeated(kRawBlock + header, kFileBytes),
                        kLastEmptyBlock, "none")));
  ASSERT_FALSE(skipped_.empty());
  EXPECT_EQ(skipped_[0].begin, 0u);
}

TEST_F(SegmentReaderHostileTest, ReadsEndlessFramesAfterMetadata) {
  const std::string metadata = Metadata(kOurFrame.size());
  // Each metadata frame is in a raw block of the frame before it.
  std::string block("\x00\x00\x00", 3);
  const auto bytes = static_cast<uint32_t>(metadata.size() + kHeader.size());
  const uint32_t block_header = bytes << 3;
  std::memcpy(block.data(), &block_header, block.size());
  ASSERT_NO_FATAL_FAILURE(Read(absl::StrCat(
      kEmptyFrame, metadata, kHeader,
      Repeated(block + metadata + kHeader, kFileBytes), kReservedBlock)));
  ASSERT_FALSE(skipped_.empty());
}

TEST_F(SegmentReaderHostileTest, ReadsMetadataThatClaimsWholeFile) {
  std::string bytes = kOurFrame + Metadata(kOurFrame.size()) + kHeader;
  while (bytes.size() < kFileBytes) {
    const std::string metadata = Metadata(bytes.size() - 200);
    absl::StrAppend(&bytes, metadata, kHeader, kReservedBlock);
  }
  ASSERT_NO_FATAL_FAILURE(Read(bytes));
  ASSERT_FALSE(skipped_.empty());
}

TEST_F(SegmentReaderHostileTest, ReadsHeadersOfLongMetadata) {
  // A payload of 65536 bytes, without and with the identity of the segment.
  const std::string header("\x57\x2A\x4D\x18\x00\x00\x01\x00", 8);
  const std::string ours = Metadata(0).substr(8, 40);
  for (const std::string& repeated : {header, header + ours}) {
    for (const std::string& first :
         {kEmptyFrame, kOurFrame + Metadata(kOurFrame.size())}) {
      ASSERT_NO_FATAL_FAILURE(
          Read(absl::StrCat(first, "x", Repeated(repeated, kFileBytes))));
      ASSERT_FALSE(skipped_.empty());
      EXPECT_TRUE(IsReported(first.size()));
    }
  }
}

TEST_F(SegmentReaderHostileTest, IgnoresEmptySkippableFrames) {
  const std::string skippable("\x50\x2A\x4D\x18\0\0\0\0", 8);
  ASSERT_NO_FATAL_FAILURE(Read(absl::StrCat(
      kOurFrame, Metadata(kOurFrame.size()), Repeated(skippable, kFileBytes))));
  EXPECT_TRUE(skipped_.empty());
}

TEST_F(SegmentReaderHostileTest, ReportsManyDamagedPlacesInFewRegions) {
  constexpr size_t kPlaces = 100000;
  const std::string piece = absl::StrCat(kEmptyFrame, kEmptyFrame, "x");
  const std::string line("\x28\xB5\x2F\xFD\x00\x58\x29\x00\x00line\n", 14);
  ASSERT_NO_FATAL_FAILURE(
      Read(absl::StrCat(Repeated(piece, kPlaces * piece.size()), line)));
  EXPECT_EQ(text_, "line\n");
  ASSERT_GT(skipped_.size(), 1u);
  size_t region = 0;
  for (size_t i = 1; i <= kPlaces; ++i) {
    const uint64_t x = i * piece.size() - 1;
    while (region < skipped_.size() && skipped_[region].end <= x) ++region;
    ASSERT_LT(region, skipped_.size());
    ASSERT_LE(skipped_[region].begin, x);
  }
}

}  // namespace
}  // namespace ringlog
