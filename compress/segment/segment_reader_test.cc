// Tests SegmentReader on complete segments, on segments that are still being
// written, and on files of other programs. segment_reader_damage_test.cc has
// the tests of damage.

#include "ringlog/compress/segment/segment_reader.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "zstd.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSeed = 4711;

class SegmentReaderTest : public ::testing::Test {
 protected:
  SegmentReaderTest() : path_(MakeTestDirectory() + "/file.zst") {}

  void Write(absl::string_view bytes) { WriteFile(path_, std::string(bytes)); }

  void Open(uint64_t limit_bytes = kWholeFile) {
    absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
        SegmentReader::Open(path_, limit_bytes);
    ASSERT_TRUE(reader.ok()) << reader.status();
    reader_ = *std::move(reader);
  }

  // Reads the whole file with `next`: Next() or NextRecords().
  void ReadAll(
      SegmentReader::Result (SegmentReader::*next)(absl::string_view*)) {
    pieces_.clear();
    metadata_.clear();
    absl::string_view lines;
    SegmentReader::Result result;
    while ((result = (reader_.get()->*next)(&lines)) !=
           SegmentReader::Result::kEnd) {
      if (result == SegmentReader::Result::kRecord) {
        pieces_.emplace_back(lines);
      } else {
        EXPECT_TRUE(lines.empty());
        metadata_.push_back(reader_->metadata());
      }
    }
    // The reader stays at the end.
    EXPECT_EQ((reader_.get()->*next)(&lines), SegmentReader::Result::kEnd);
  }

  void Read(absl::string_view bytes) {
    // Makes a new file each time, because ext4 writes an emptied and rewritten
    // file to the disk at once.
    unlink(path_.c_str());
    Write(bytes);
    ASSERT_NO_FATAL_FAILURE(Open());
    ReadAll(&SegmentReader::Next);
  }

  std::string text() const { return absl::StrJoin(pieces_, ""); }

  const std::string path_;
  std::unique_ptr<SegmentReader> reader_;
  std::vector<std::string> pieces_;
  std::vector<FrameMetadata> metadata_;
};

// Returns `text` as a zstd frame, like the zstd command.
std::string Compress(absl::string_view text, bool checksum) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t bytes =
      ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size());
  EXPECT_FALSE(ZSTD_isError(bytes));
  out.resize(bytes);
  ZSTD_freeCCtx(context);
  return out;
}

// Returns the last four bytes of `frame`, its checksum.
uint32_t ChecksumOf(absl::string_view frame) {
  uint32_t checksum;
  std::memcpy(&checksum, frame.data() + frame.size() - 4, sizeof checksum);
  return checksum;
}

// Returns the metadata frame of `frame`, which is `text` compressed.
std::string MetadataFor(absl::string_view frame, absl::string_view text) {
  FrameMetadata metadata;
  metadata.compressed_bytes = frame.size();
  metadata.summary.text_bytes = text.size();
  metadata.text_checksum = ChecksumOf(frame);
  return EncodeMetadataFrame(metadata);
}

class SegmentReaderFormatTest
    : public SegmentReaderTest,
      public ::testing::WithParamInterface<LineFormat> {
 protected:
  const SampleSegment sample_ = MakeSampleSegment(GetParam(), 10, kSeed);
};

INSTANTIATE_TEST_SUITE_P(Formats, SegmentReaderFormatTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         [](const auto& tested) {
                           return tested.param == LineFormat::kText ? "Text"
                                                                    : "Json";
                         });

TEST_P(SegmentReaderFormatTest, EveryRecordIsDeliveredOnce) {
  ASSERT_NO_FATAL_FAILURE(Read(sample_.bytes));
  EXPECT_EQ(pieces_, sample_.records);
  EXPECT_THAT(reader_->skipped(), IsEmpty());
  EXPECT_EQ(reader_->format(), GetParam());
}

TEST_P(SegmentReaderFormatTest, MetadataFollowsItsRecords) {
  Write(sample_.bytes);
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_NE(reader_->first_metadata(), nullptr);
  EXPECT_EQ(reader_->first_metadata()->summary.first_position, 100u);
  std::string text;
  size_t frame = 0;
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = reader_->Next(&lines)) != SegmentReader::Result::kEnd) {
    absl::StrAppend(&text, lines);
    if (result != SegmentReader::Result::kMetadata) continue;
    ASSERT_LT(frame, sample_.frames.size());
    const SampleSegment::Frame& expected = sample_.frames[frame++];
    EXPECT_EQ(text, expected.text);
    const FrameMetadata& metadata = reader_->metadata();
    EXPECT_EQ(metadata.summary.text_bytes, expected.text.size());
    EXPECT_EQ(metadata.summary.first_position, expected.first_position);
    EXPECT_EQ(metadata.summary.end_position, expected.end_position);
    EXPECT_EQ(metadata.compressed_bytes, expected.end - expected.begin);
    EXPECT_EQ(
        metadata.text_checksum,
        ChecksumOf(absl::string_view(sample_.bytes).substr(0, expected.end)));
    text.clear();
  }
  EXPECT_EQ(frame, sample_.frames.size());
}

TEST_P(SegmentReaderFormatTest, NextRecordsReturnsTheBytesOfNext) {
  Write(sample_.bytes);
  ASSERT_NO_FATAL_FAILURE(Open());
  ReadAll(&SegmentReader::NextRecords);
  EXPECT_EQ(text(), sample_.text());
  EXPECT_THAT(pieces_, SizeIs(sample_.frames.size()));
  EXPECT_THAT(metadata_, SizeIs(sample_.frames.size()));
}

TEST_P(SegmentReaderFormatTest, NextAndNextRecordsMayAlternate) {
  Write(sample_.bytes);
  ASSERT_NO_FATAL_FAILURE(Open());
  std::string text;
  absl::string_view lines;
  for (int i = 0;
       (i % 3 == 0 ? reader_->NextRecords(&lines) : reader_->Next(&lines)) !=
       SegmentReader::Result::kEnd;
       ++i) {
    absl::StrAppend(&text, lines);
  }
  EXPECT_EQ(text, sample_.text());
}

TEST_P(SegmentReaderFormatTest, LimitIsLikeTheEndOfTheFile) {
  for (uint64_t limit = 1; limit < sample_.bytes.size(); limit += 7) {
    ASSERT_NO_FATAL_FAILURE(Read(sample_.bytes.substr(0, limit)));
    const std::vector<std::string> of_truncated_file = pieces_;
    const std::vector<SkippedRegion> skipped = reader_->skipped();
    Write(sample_.bytes);
    ASSERT_NO_FATAL_FAILURE(Open(limit));
    ReadAll(&SegmentReader::Next);
    ASSERT_EQ(pieces_, of_truncated_file) << limit;
    ASSERT_EQ(reader_->skipped().size(), skipped.size()) << limit;
    if (!skipped.empty()) {
      EXPECT_EQ(ToString(reader_->skipped()[0]), ToString(skipped[0]));
    }
  }
}

TEST_P(SegmentReaderFormatTest, BytesWrittenAfterOpenAreNotRead) {
  const SampleSegment::Frame& third = sample_.frames[2];
  Write(sample_.bytes.substr(0, third.begin));
  ASSERT_NO_FATAL_FAILURE(Open());
  Write(sample_.bytes);
  ReadAll(&SegmentReader::Next);
  EXPECT_EQ(text(), sample_.frames[0].text + sample_.frames[1].text);
}

TEST_F(SegmentReaderTest, FileOfAnotherProgramIsRead) {
  for (const bool checksum : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(Read(Compress("one\ntwo\n", checksum) +
                                 Compress("", checksum) +
                                 Compress("three\n\tfour\n", checksum)));
    EXPECT_THAT(pieces_, ElementsAre("one\n", "two\n", "three\n\tfour\n"));
    EXPECT_THAT(reader_->skipped(), IsEmpty());
    EXPECT_THAT(metadata_, IsEmpty());
    EXPECT_EQ(reader_->first_metadata(), nullptr);
    EXPECT_EQ(reader_->format(), LineFormat::kText);
  }
}

TEST_F(SegmentReaderTest, FirstByteDecidesFormatWithoutMetadata) {
  ASSERT_NO_FATAL_FAILURE(Read(Compress("{\"a\":1}\n {}\n", true)));
  EXPECT_EQ(reader_->format(), LineFormat::kJson);
  EXPECT_THAT(pieces_, ElementsAre("{\"a\":1}\n", " {}\n"));
}

TEST_F(SegmentReaderTest, LastLineNeedsNoLineBreak) {
  ASSERT_NO_FATAL_FAILURE(Read(Compress("one\ntwo", true)));
  EXPECT_THAT(pieces_, ElementsAre("one\n", "two"));
}

TEST_F(SegmentReaderTest, UnknownSkippableFramesAreIgnored) {
  const std::string other("\x50\x2A\x4D\x18\x03\0\0\0abc", 11);
  const std::string same_magic("\x57\x2A\x4D\x18\x03\0\0\0abc", 11);
  ASSERT_NO_FATAL_FAILURE(Read(other + Compress("one\n", true) + same_magic +
                               Compress("two\n", true) + other));
  EXPECT_THAT(pieces_, ElementsAre("one\n", "two\n"));
  EXPECT_THAT(reader_->skipped(), IsEmpty());
}

TEST_F(SegmentReaderTest, FrameWithMetadataOfAnotherIsSkipped) {
  const std::string one = Compress("one\n", true);
  const std::string two = Compress("two\n", true);
  ASSERT_EQ(one.size(), two.size());
  const std::string of_one = MetadataFor(one, "one\n");
  ASSERT_NO_FATAL_FAILURE(Read(one + of_one + two + MetadataFor(two, "two\n")));
  EXPECT_THAT(pieces_, ElementsAre("one\n", "two\n"));
  ASSERT_NO_FATAL_FAILURE(Read(one + of_one + two + of_one));
  EXPECT_THAT(pieces_, ElementsAre("one\n"));
  ASSERT_THAT(reader_->skipped(), SizeIs(1));
  EXPECT_EQ(reader_->skipped()[0].begin, one.size() + of_one.size());
}

TEST_F(SegmentReaderTest, FrameWithoutChecksumIsSkippedInSegment) {
  const std::string one = Compress("one\n", true);
  const std::string two = Compress("two\n", false);
  const std::string of_one = MetadataFor(one, "one\n");
  for (const std::string& rest :
       {two, absl::StrCat(two, MetadataFor(two, "two\n"))}) {
    ASSERT_NO_FATAL_FAILURE(Read(absl::StrCat(one, of_one, rest)));
    EXPECT_THAT(pieces_, ElementsAre("one\n"));
    EXPECT_THAT(reader_->skipped(), SizeIs(1));
  }
}

TEST_F(SegmentReaderTest, LongFrameIsDeliveredInPieces) {
  std::string text;
  for (int i = 0; text.size() < (40u << 20); ++i) {
    absl::StrAppend(&text, "line ", i, "\n\tgoes on\n");
  }
  Write(Compress(text, true));
  ASSERT_NO_FATAL_FAILURE(Open());
  ReadAll(&SegmentReader::NextRecords);
  EXPECT_TRUE(this->text() == text);
  EXPECT_THAT(reader_->skipped(), IsEmpty());
  for (const std::string& piece : pieces_) {
    EXPECT_LE(piece.size(), 17u << 20);
    EXPECT_EQ(piece.substr(0, 5), "line ");
    EXPECT_EQ(piece.substr(piece.size() - 9), "\tgoes on\n");
  }
}

TEST_F(SegmentReaderTest, LongRecordIsDeliveredInPieces) {
  const std::string text = std::string(40 << 20, 'x') + "\nshort\n";
  ASSERT_NO_FATAL_FAILURE(Read(Compress(text, true)));
  EXPECT_TRUE(this->text() == text);
  for (const std::string& piece : pieces_) EXPECT_LE(piece.size(), 17u << 20);
}

// The records were delivered before the checksum was read.
TEST_F(SegmentReaderTest, LongFrameWithWrongChecksumIsUnverified) {
  const std::string text = std::string(5 << 20, 'x') + "\n";
  std::string bytes = Compress(text, true);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  ASSERT_NO_FATAL_FAILURE(Read(bytes));
  EXPECT_FALSE(pieces_.empty());
  ASSERT_THAT(reader_->skipped(), SizeIs(1));
  const SkippedRegion& region = reader_->skipped()[0];
  EXPECT_TRUE(region.has_unverified_records());
  EXPECT_EQ(region.unverified_begin, 0u);
  EXPECT_EQ(DescribeUnverified(region),
            absl::StrCat("[0..", region.unverified_end,
                         "): the records in these bytes are unverified; no "
                         "checksum covers them"));
}

// The flag that announces the checksum is damaged, and no metadata frame shows
// that the file is a segment.
TEST_F(SegmentReaderTest, FrameThatLostItsChecksumFlagIsUnverified) {
  const std::string frame = Compress("one\n", false);
  ASSERT_NO_FATAL_FAILURE(Read(frame + "\1\2\3\4 damaged metadata"));
  EXPECT_THAT(pieces_, ElementsAre("one\n"));
  ASSERT_THAT(reader_->skipped(), SizeIs(1));
  EXPECT_EQ(reader_->skipped()[0].unverified_begin, 0u);
  EXPECT_EQ(reader_->skipped()[0].unverified_end, frame.size());
}

TEST_F(SegmentReaderTest, OtherFilesAreRejected) {
  for (const absl::string_view bytes :
       {"", "a", "abc", "plain text\n", "\x1f\x8b\x08gzip"}) {
    Write(bytes);
    EXPECT_EQ(SegmentReader::Open(path_).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bytes;
  }
  EXPECT_EQ(SegmentReader::Open(path_ + ".missing").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(SegmentReader::Open("/dev/null").ok());
}

TEST_F(SegmentReaderTest, RegionPrintsItsBytesAndCause) {
  SkippedRegion region;
  region.begin = 3;
  region.end = 70;
  region.why = "cut off";
  EXPECT_EQ(ToString(region), "[3..70): cut off");
}

// Invariants checked, for every file: reading ends, and the reported regions
// are within the file and in order.
TEST_F(SegmentReaderTest, RandomBytesAreReadToTheEnd) {
  std::mt19937_64 random(TestSeed());
  const std::string magics[] = {
      "", std::string("\x28\xB5\x2F\xFD", 4),
      std::string("\x28\xB5\x2F\xFD\x04\x00", 6),
      std::string("\x57\x2A\x4D\x18\x90\x00\x00\x00\x89RLOGMET", 16),
      std::string("\x5E\x2A\x4D\x18", 4)};
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (uint64_t part = random() % 4 + 1; part > 0; --part) {
      bytes += magics[random() % 5];
      for (uint64_t n = random() % 300; n > 0; --n) {
        bytes += static_cast<char>(random());
      }
    }
    unlink(path_.c_str());
    Write(bytes);
    absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
        SegmentReader::Open(path_);
    if (!reader.ok()) continue;
    absl::string_view lines;
    while ((*reader)->Next(&lines) != SegmentReader::Result::kEnd) {
    }
    uint64_t last_end = 0;
    for (const SkippedRegion& region : (*reader)->skipped()) {
      ASSERT_LE(last_end, region.begin) << round;
      ASSERT_LE(region.begin, region.end) << round;
      ASSERT_LE(region.end, bytes.size()) << round;
      last_end = region.end;
    }
  }
}

}  // namespace
}  // namespace ringlog
