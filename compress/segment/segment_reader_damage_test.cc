// Tests which records SegmentReader delivers from truncated or damaged
// segments. The oracle is the list of lines that were written, and libzstd for
// the end of each frame.
//
// Invariants checked:
//   - every delivered line was written, and lines keep their order
//   - damage costs the records of its frame, and is reported
//   - truncation costs the records that are not in a complete block, and is
//     reported as truncation
//   - records of a frame without an end are reported as unverified

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/testing/fixtures/read_records.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using Frame = SampleSegment::Frame;

constexpr uint64_t kSampleSeed = 20261124;
constexpr size_t kFrameCount = 10;

// With a sanitizer, all bytes would take ten minutes. So each run tries a
// different share of the bytes.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr uint64_t kStride = 11;
#else
constexpr uint64_t kStride = 1;
#endif

class SegmentReaderDamageTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  SegmentReaderDamageTest()
      : sample_(MakeSampleSegment(GetParam(), kFrameCount, kSampleSeed)),
        path_(MakeTestDirectory() + "/damaged"),
        random_(TestSeed()) {}

  // Reads a file of `bytes`.
  void Read(const std::string& bytes) {
    text_.clear();
    skipped_.clear();
    // Makes a new file each time, because ext4 writes an emptied and rewritten
    // file to the disk at once.
    unlink(path_.c_str());
    WriteFile(path_, bytes);
    absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
        SegmentReader::Open(path_);
    ASSERT_TRUE(reader.ok()) << reader.status();
    text_ = absl::StrJoin(ReadRecords(reader->get()), "");
    skipped_ = (*reader)->skipped();
    uint64_t last_end = 0;
    for (const SkippedRegion& region : skipped_) {
      EXPECT_LE(last_end, region.begin);
      EXPECT_LE(region.begin, region.end);
      EXPECT_LE(region.end, bytes.size());
      last_end = region.end;
    }
  }

  // Checks that at most frame `f` is lost, and that its loss is reported.
  void ExpectAtMostLost(size_t f) {
    if (text_ == sample_.text()) return;
    ASSERT_EQ(text_, sample_.TextWithout(f));
    ASSERT_EQ(skipped_.size(), 1u);
    EXPECT_FALSE(skipped_[0].is_truncated) << ToString(skipped_[0]);
    EXPECT_EQ(skipped_[0].begin, sample_.frames[f].begin);
  }

  void ExpectLostWithItsPositions(size_t f) {
    const Frame& frame = sample_.frames[f];
    ASSERT_EQ(text_, sample_.TextWithout(f));
    ASSERT_EQ(skipped_.size(), 1u);
    EXPECT_EQ(skipped_[0].begin, frame.begin);
    EXPECT_EQ(skipped_[0].end, frame.end);
    EXPECT_FALSE(skipped_[0].is_truncated);
    EXPECT_EQ(skipped_[0].first_position, frame.first_position);
    EXPECT_EQ(skipped_[0].end_position, frame.end_position);
    EXPECT_FALSE(skipped_[0].why.empty());
  }

  std::string Flipped(uint64_t at, unsigned bit) const {
    std::string bytes = sample_.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    return bytes;
  }

  // Returns the bits of byte `at` to flip: all bits in a header, one in
  // content.
  std::vector<unsigned> BitsAt(const Frame& frame, uint64_t at) {
    // Magic, descriptor, window or size, first block header.
    bool is_header = at < frame.begin + 9 || at >= frame.end - 4;
    for (const SampleSegment::Block& block : frame.blocks) {
      is_header |= at >= block.end && at < block.end + 3;
    }
    // Magic, length and version of the metadata frame.
    is_header |= at >= frame.end && at < frame.end + 24;
    if (is_header) return {0, 1, 2, 3, 4, 5, 6, 7};
    return {static_cast<unsigned>(random_() % 8)};
  }

  // Returns the text of the complete blocks in the first `length` bytes. Sets
  // `*complete_end` to the end of the last complete block or frame.
  std::string TextOfCompleteBlocks(uint64_t length,
                                   uint64_t* complete_end) const {
    std::string text;
    for (const Frame& frame : sample_.frames) {
      if (frame.begin >= length) break;
      *complete_end = frame.end <= length ? frame.end : frame.begin;
      if (frame.metadata_end <= length) *complete_end = frame.metadata_end;
      for (const SampleSegment::Block& block : frame.blocks) {
        if (block.end > length) break;
        text += block.text;
        if (frame.end > length) *complete_end = block.end;
      }
    }
    return text;
  }

  bool IsBetweenFrames(uint64_t length) const {
    for (const Frame& frame : sample_.frames) {
      if (length == frame.end || length == frame.metadata_end) return true;
    }
    return length == sample_.bytes.size();
  }

  // Returns the index of the frame that `at` is in; kFrameCount if there is
  // none.
  size_t FrameAt(uint64_t at) const {
    size_t f = 0;
    while (f < kFrameCount &&
           (at < sample_.frames[f].begin || at >= sample_.frames[f].end)) {
      ++f;
    }
    return f;
  }

  // Returns the offset at which the reader resumes after `frame`. It does not
  // resume at the seek table.
  uint64_t NextFrame(const Frame& frame) const {
    return frame.end == sample_.frames.back().end ? sample_.bytes.size()
                                                  : frame.metadata_end;
  }

  bool IsTried(uint64_t at) const { return (at + phase_) % kStride == 0; }

  std::string Noise(size_t bytes) {
    std::string noise(bytes, '\0');
    for (char& c : noise) c = static_cast<char>(random_());
    return noise;
  }

  const SampleSegment sample_;
  const std::string path_;
  std::mt19937_64 random_;
  const uint64_t phase_ = random_() % kStride;
  std::string text_;
  std::vector<SkippedRegion> skipped_;
};

TEST_P(SegmentReaderDamageTest, TruncationCostsOnlyIncompleteBlocks) {
  for (uint64_t length = 1; length <= sample_.bytes.size(); ++length) {
    if (!IsTried(length)) continue;
    SCOPED_TRACE(absl::StrCat("truncated at ", length));
    ASSERT_NO_FATAL_FAILURE(Read(sample_.bytes.substr(0, length)));
    uint64_t complete_end = 0;
    ASSERT_EQ(text_, TextOfCompleteBlocks(length, &complete_end));
    if (IsBetweenFrames(length)) {
      ASSERT_TRUE(skipped_.empty()) << ToString(skipped_[0]);
      continue;
    }
    ASSERT_EQ(skipped_.size(), 1u);
    ASSERT_TRUE(skipped_[0].is_truncated) << ToString(skipped_[0]);
    ASSERT_EQ(skipped_[0].begin, complete_end);
    ASSERT_EQ(skipped_[0].end, length);
    const size_t f = FrameAt(length);
    const bool has_open_records =
        f < kFrameCount && sample_.frames[f].blocks[0].end <= length;
    ASSERT_EQ(skipped_[0].has_unverified_records(), has_open_records);
    if (has_open_records) {
      ASSERT_EQ(skipped_[0].unverified_begin, sample_.frames[f].begin);
      ASSERT_EQ(skipped_[0].unverified_end, complete_end);
    }
  }
}

TEST_P(SegmentReaderDamageTest, FlippedBitCostsAtMostItsFrame) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    for (uint64_t at = frame.begin; at < frame.end; ++at) {
      if (!IsTried(at)) continue;
      for (const unsigned bit : BitsAt(frame, at)) {
        SCOPED_TRACE(absl::StrCat("bit ", bit, " of byte ", at));
        ASSERT_NO_FATAL_FAILURE(Read(Flipped(at, bit)));
        // zstd ignores some bits, for example reserved bits or a larger window.
        if (text_ == sample_.text()) continue;
        ASSERT_NO_FATAL_FAILURE(ExpectLostWithItsPositions(f));
      }
    }
  }
}

// Damage of a block's length may lead exactly to the end of the file, like the
// blocks of an open frame.
TEST_P(SegmentReaderDamageTest, LengthThatLeadsToTheEndCostsOneFrame) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    std::string bytes = sample_.bytes;
    const uint64_t header = sample_.frames[f].begin + 6;
    const uint64_t raw_block = (bytes.size() - header - 3) << 3;
    for (int i = 0; i < 3; ++i) {
      bytes[header + i] = static_cast<char>(raw_block >> 8 * i);
    }
    ASSERT_NO_FATAL_FAILURE(Read(bytes));
    ASSERT_NO_FATAL_FAILURE(ExpectLostWithItsPositions(f));
  }
}

TEST_P(SegmentReaderDamageTest, FlippedBitOfContentIsDetected) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    // Each bit of raw text and of the checksum has a meaning.
    const uint64_t begin = frame.begin + 16;
    const std::string raw = sample_.bytes.substr(begin, 20);
    const bool is_raw = absl::StrContains(frame.text, raw);
    EXPECT_TRUE(is_raw || GetParam() == LineFormat::kJson);
    for (uint64_t at = begin; is_raw && at < begin + raw.size(); ++at) {
      ASSERT_NO_FATAL_FAILURE(Read(Flipped(at, at % 8)));
      ASSERT_NO_FATAL_FAILURE(ExpectLostWithItsPositions(f));
    }
    for (uint64_t at = frame.end - 4; at < frame.end; ++at) {
      ASSERT_NO_FATAL_FAILURE(Read(Flipped(at, at % 8)));
      ASSERT_NO_FATAL_FAILURE(ExpectLostWithItsPositions(f));
    }
  }
}

TEST_P(SegmentReaderDamageTest, DamagedMetadataCostsNoRecord) {
  for (const Frame& frame : sample_.frames) {
    for (uint64_t at = frame.end; at < frame.metadata_end; ++at) {
      if (!IsTried(at)) continue;
      for (const unsigned bit : BitsAt(frame, at)) {
        SCOPED_TRACE(absl::StrCat("bit ", bit, " of byte ", at));
        ASSERT_NO_FATAL_FAILURE(Read(Flipped(at, bit)));
        ASSERT_EQ(text_, sample_.text());
        // Damage of either magic makes the metadata frame a skippable frame of
        // another program.
        if (at < frame.end + 16) continue;
        ASSERT_EQ(skipped_.size(), 1u);
        ASSERT_FALSE(skipped_[0].is_truncated);
        ASSERT_EQ(skipped_[0].begin, frame.end);
        ASSERT_EQ(skipped_[0].end, NextFrame(frame));
      }
    }
  }
}

TEST_P(SegmentReaderDamageTest, DamagedMetadataLengthHidesNoFrame) {
  for (size_t f = 0; f + 1 < kFrameCount; ++f) {
    const uint64_t begin = sample_.frames[f].end;
    const Frame& next = sample_.frames[f + 1];
    const Frame& last = sample_.frames.back();
    for (const uint64_t end : {next.end, next.metadata_end, last.end,
                               last.metadata_end, sample_.bytes.size()}) {
      SCOPED_TRACE(absl::StrCat("skipping [", begin, "..", end, ")"));
      std::string bytes = sample_.bytes;
      const auto length = static_cast<uint32_t>(end - begin - 8);
      bytes.replace(begin + 4, sizeof length,
                    reinterpret_cast<const char*>(&length), sizeof length);
      // Damages the payload's magic, so that only the length leads to `end`.
      bytes[begin + 8] = '?';
      ASSERT_NO_FATAL_FAILURE(Read(bytes));
      ASSERT_EQ(text_, sample_.text());
      ASSERT_EQ(skipped_.size(), 1u);
      EXPECT_FALSE(skipped_[0].is_truncated);
      EXPECT_EQ(skipped_[0].begin, begin);
      EXPECT_EQ(skipped_[0].end, next.begin);
    }
  }
}

TEST_P(SegmentReaderDamageTest, DamagedSeekTableCostsNoRecord) {
  for (uint64_t at = sample_.frames.back().metadata_end;
       at < sample_.bytes.size(); ++at) {
    if (!IsTried(at)) continue;
    for (unsigned bit = 0; bit < 8; ++bit) {
      ASSERT_NO_FATAL_FAILURE(Read(Flipped(at, bit)));
      ASSERT_EQ(text_, sample_.text()) << "bit " << bit << " of byte " << at;
    }
  }
}

TEST_P(SegmentReaderDamageTest, MissingByteCostsAtMostItsFrame) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    for (uint64_t at = frame.begin; at < frame.metadata_end; ++at) {
      if (!IsTried(at)) continue;
      SCOPED_TRACE(absl::StrCat("without byte ", at));
      std::string bytes = sample_.bytes;
      bytes.erase(at, 1);
      ASSERT_NO_FATAL_FAILURE(Read(bytes));
      ASSERT_NO_FATAL_FAILURE(ExpectAtMostLost(f));
    }
  }
}

TEST_P(SegmentReaderDamageTest, InsertedByteCostsAtMostItsFrame) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    for (uint64_t at = frame.begin + 1; at < frame.metadata_end; ++at) {
      if (!IsTried(at)) continue;
      SCOPED_TRACE(absl::StrCat("a byte before byte ", at));
      std::string bytes = sample_.bytes;
      bytes.insert(at, Noise(1));
      ASSERT_NO_FATAL_FAILURE(Read(bytes));
      ASSERT_NO_FATAL_FAILURE(ExpectAtMostLost(f));
    }
  }
}

TEST_P(SegmentReaderDamageTest, OverwrittenFrameKeepsItsPositions) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    const size_t count = frame.end - frame.begin;
    for (const std::string& with : {std::string(count, '\0'), Noise(count)}) {
      std::string bytes = sample_.bytes;
      bytes.replace(frame.begin, count, with);
      ASSERT_NO_FATAL_FAILURE(Read(bytes));
      ASSERT_NO_FATAL_FAILURE(ExpectLostWithItsPositions(f));
    }
  }
}

TEST_P(SegmentReaderDamageTest, OverwrittenFrameAndMetadataAreOneRegion) {
  for (size_t f = 0; f < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    const size_t count = frame.metadata_end - frame.begin;
    for (const std::string& with : {std::string(count, '\0'), Noise(count)}) {
      std::string bytes = sample_.bytes;
      bytes.replace(frame.begin, count, with);
      ASSERT_NO_FATAL_FAILURE(Read(bytes));
      ASSERT_EQ(text_, sample_.TextWithout(f));
      ASSERT_EQ(skipped_.size(), 1u);
      EXPECT_EQ(skipped_[0].begin, frame.begin);
      EXPECT_FALSE(skipped_[0].is_truncated);
      EXPECT_EQ(skipped_[0].first_position, 0u);
      EXPECT_EQ(skipped_[0].end_position, 0u);
      EXPECT_EQ(skipped_[0].end, NextFrame(frame));
    }
  }
}

TEST_P(SegmentReaderDamageTest, SwappedFramesAreBothRead) {
  const Frame& a = sample_.frames[3];
  const Frame& b = sample_.frames[4];
  const absl::string_view all = sample_.bytes;
  ASSERT_NO_FATAL_FAILURE(Read(absl::StrCat(
      all.substr(0, a.begin), all.substr(b.begin, b.metadata_end - b.begin),
      all.substr(a.begin, a.metadata_end - a.begin),
      all.substr(b.metadata_end))));
  std::vector<Frame> frames = sample_.frames;
  std::swap(frames[3], frames[4]);
  std::string expected;
  for (const Frame& frame : frames) expected += frame.text;
  EXPECT_EQ(text_, expected);
  EXPECT_TRUE(skipped_.empty());
}

TEST_P(SegmentReaderDamageTest, BytesBetweenFramesCostNoRecord) {
  for (size_t f = 0; f + 1 < kFrameCount; ++f) {
    const Frame& frame = sample_.frames[f];
    for (const size_t count : std::vector<size_t>{1, 3, 4, 5, 100, 70000}) {
      std::string bytes = sample_.bytes;
      bytes.insert(frame.metadata_end, Noise(count));
      ASSERT_NO_FATAL_FAILURE(Read(bytes));
      ASSERT_EQ(text_, sample_.text());
      ASSERT_EQ(skipped_.size(), 1u);
      EXPECT_EQ(skipped_[0].begin, frame.metadata_end);
      EXPECT_EQ(skipped_[0].end, frame.metadata_end + count);
      EXPECT_FALSE(skipped_[0].is_truncated);
    }
  }
}

TEST_P(SegmentReaderDamageTest, DamageAndTruncationAreTwoRegions) {
  const uint64_t length = sample_.frames[7].blocks[1].end + 1;
  std::string bytes = Flipped(sample_.frames[2].end - 1, 0);
  bytes.resize(length);
  ASSERT_NO_FATAL_FAILURE(Read(bytes));
  std::string expected;
  for (size_t f = 0; f < 7; ++f) {
    if (f != 2) expected += sample_.frames[f].text;
  }
  expected += sample_.frames[7].blocks[0].text;
  expected += sample_.frames[7].blocks[1].text;
  EXPECT_EQ(text_, expected);
  ASSERT_EQ(skipped_.size(), 2u);
  EXPECT_FALSE(skipped_[0].is_truncated);
  EXPECT_EQ(skipped_[0].first_position, sample_.frames[2].first_position);
  EXPECT_TRUE(skipped_[1].is_truncated);
  EXPECT_EQ(skipped_[1].begin, sample_.frames[7].blocks[1].end);
}

INSTANTIATE_TEST_SUITE_P(Formats, SegmentReaderDamageTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         [](const auto& tested) {
                           return tested.param == LineFormat::kText ? "Text"
                                                                    : "Json";
                         });

}  // namespace
}  // namespace ringlog
