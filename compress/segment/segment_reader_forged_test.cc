// Tests SegmentReader on messages that contain a complete zstd frame and its
// metadata frame, between incompressible bytes, so that zstd stores them
// unchanged. The oracle is the list of lines that were written.
//
// Invariants checked:
//   - no bytes of a message are delivered as records
//   - truncation costs the records that are not in a complete block, and damage
//     at most the records of its frame

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
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/compress/segment/zstd_frame.h"
#include "ringlog/testing/fixtures/read_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "zstd.h"

namespace ringlog {
namespace {

// Returns `text` as a zstd frame with a checksum, like `zstd --check`.
std::string Compress(const std::string& text) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  const size_t bytes = ZSTD_compress2(context, frame.data(), frame.size(),
                                      text.data(), text.size());
  EXPECT_FALSE(ZSTD_isError(bytes));
  frame.resize(bytes);
  ZSTD_freeCCtx(context);
  return frame;
}

class SegmentReaderForgedTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  SegmentReaderForgedTest()
      : path_(MakeTestDirectory() + "/segment"), random_(TestSeed()) {
    identity_.ring_id = {3, 1, 4, 1, 5, 9, 2, 6};
    identity_.format = GetParam();
  }

  void Begin(size_t frame_bytes) {
    unlink(path_.c_str());
    SegmentWriterOptions options;
    options.frame_bytes = frame_bytes;
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Create(path_, identity_, options);
    ASSERT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
    lines_.clear();
    forgeries_.clear();
  }

  // Writes a batch of one record: one block, or more.
  void Add(const std::string& text) {
    const std::string line =
        GetParam() == LineFormat::kText
            ? absl::StrCat("I20261123 02:03:04.123456 1 a.cc:1] ", text, "\n")
            : absl::StrCat("{\"text\":\"", text, "\"}\n");
    SegmentWriter::Batch batch;
    batch.lines = line;
    batch.summary.first_position = lines_.size();
    batch.summary.end_position = lines_.size() + 1;
    batch.summary.records[0] = 1;
    batch.summary.text_bytes = line.size();
    ASSERT_TRUE(writer_->AddBatch(batch).ok());
    ASSERT_TRUE(writer_->Write().ok());
    lines_.push_back(line);
    ends_.resize(lines_.size());
    ends_.back() = writer_->segment_bytes();
  }

  std::string Noise(size_t bytes) {
    std::string noise(bytes, ' ');
    for (char& c : noise) {
      do {
        c = static_cast<char>(random_());
      } while (c == '\n');
    }
    return noise;
  }

  // Returns a zstd frame and its metadata frame, with a ring id of zeros,
  // because the writer of a message does not know the ring id. The bytes have
  // no line break, because a line cannot have one inside a message. The
  // metadata frame names a frame that begins `distance` bytes earlier.
  std::string Forgery(uint64_t distance = 0) {
    forgeries_.push_back(MakeForgery(distance));
    return forgeries_.back();
  }

  // Returns the bytes of the file, and checks that the forgeries are in it
  // unchanged.
  std::string Bytes() const {
    std::string bytes = ReadFile(path_);
    for (const std::string& forgery : forgeries_) {
      EXPECT_TRUE(absl::StrContains(bytes, forgery));
    }
    return bytes;
  }

  std::string MakeForgery(uint64_t distance) {
    while (true) {
      std::string text;
      for (int i = 0; i < 4; ++i) {
        absl::StrAppend(&text, GetParam() == LineFormat::kText ? "F" : "{\"",
                        "forged ", random_(), " of ", random_() % 1000, "\n");
      }
      const std::string frame = Compress(text);
      FrameMetadata metadata;
      metadata.identity.number = identity_.number;
      metadata.identity.format = GetParam();
      metadata.compressed_bytes = frame.size() + distance;
      metadata.summary.text_bytes = text.size();
      metadata.summary.end_position = 4;
      std::memcpy(&metadata.text_checksum,
                  frame.data() + frame.size() - kZstdChecksumBytes,
                  kZstdChecksumBytes);
      std::string forgery = frame + EncodeMetadataFrame(metadata);
      if (!absl::StrContains(forgery, "\n")) return forgery;
    }
  }

  void Read(const std::string& bytes) {
    const std::string path = name_.empty() ? path_ + ".read" : name_;
    unlink(path.c_str());
    WriteFile(path, bytes);
    text_.clear();
    absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
        SegmentReader::Open(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    text_ = absl::StrJoin(ReadRecords(reader->get()), "");
    skipped_ = (*reader)->skipped();
    if ((*reader)->first_metadata() != nullptr) {
      EXPECT_EQ((*reader)->first_metadata()->identity.ring_id,
                identity_.ring_id);
    }
  }

  // Returns all lines except [first, end).
  std::string Lines(size_t first, size_t end) const {
    std::string text;
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (i < first || i >= end) text += lines_[i];
    }
    return text;
  }

  SegmentIdentity identity_;
  const std::string path_;
  std::string name_;  // Path of the file to read. If empty, Read() chooses one.
  std::mt19937_64 random_;
  std::unique_ptr<SegmentWriter> writer_;
  std::vector<std::string> forgeries_;
  std::vector<std::string> lines_;
  std::vector<uint64_t> ends_;  // Size of the file after each line.
  std::string text_;
  std::vector<SkippedRegion> skipped_;
};

INSTANTIATE_TEST_SUITE_P(Formats, SegmentReaderForgedTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         [](const auto& tested) {
                           return tested.param == LineFormat::kText ? "Text"
                                                                    : "Json";
                         });

TEST_P(SegmentReaderForgedTest, OpenFrameIsReadWithoutForgeries) {
  ASSERT_NO_FATAL_FAILURE(Begin(1 << 20));
  for (const std::string& text :
       {std::string("first"), std::string("genuine"),
        absl::StrCat(Noise(8000), Forgery(), Noise(9000)),
        std::string("genuine too"), absl::StrCat(Noise(17000), Forgery()),
        std::string("last")}) {
    ASSERT_NO_FATAL_FAILURE(Add(text));
  }
  const std::string bytes = Bytes();
  for (size_t i = 0; i < lines_.size(); ++i) {
    const uint64_t next = i + 1 < ends_.size() ? ends_[i + 1] : ends_[i] + 1;
    const uint64_t step = next - ends_[i] > 1000 ? 13 : 1;
    for (uint64_t length = ends_[i]; length < next; length += step) {
      ASSERT_NO_FATAL_FAILURE(Read(bytes.substr(0, length)));
      ASSERT_EQ(text_, Lines(i + 1, lines_.size())) << length;
      ASSERT_LE(skipped_.size(), 1u);
      if (!skipped_.empty()) {
        ASSERT_TRUE(skipped_[0].is_truncated) << ToString(skipped_[0]);
      }
    }
  }
}

// Without a metadata frame, nothing identifies the segment.
TEST_P(SegmentReaderForgedTest, TruncatedFirstFrameHidesForgeries) {
  ASSERT_NO_FATAL_FAILURE(Begin(1 << 20));
  // A zstd block has at most 128 KiB.
  ASSERT_NO_FATAL_FAILURE(Add(absl::StrCat(Noise(1000), Forgery(), Noise(1000),
                                           Forgery(2000), Noise(300000))));
  const std::string bytes = Bytes();
  for (const uint64_t length :
       std::vector<uint64_t>{1500, 5000, 130000, 131090, 150000, 299000}) {
    ASSERT_NO_FATAL_FAILURE(Read(bytes.substr(0, length)));
    ASSERT_EQ(text_, "") << length;
    ASSERT_EQ(skipped_.size(), 1u);
    EXPECT_TRUE(skipped_[0].is_truncated) << ToString(skipped_[0]);
  }
}

TEST_P(SegmentReaderForgedTest, DamageCostsAtMostItsFrame) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  for (int i = 0; i < 4; ++i) {
    ASSERT_NO_FATAL_FAILURE(Add(absl::StrCat(
        i, Noise(9000), Forgery(), Noise(100), Forgery(300), Noise(25000))));
  }
  const std::string bytes = Bytes();
  for (size_t f = 0; f < lines_.size(); ++f) {
    const uint64_t begin = f == 0 ? 0 : ends_[f - 1];
    for (uint64_t at = begin; at < ends_[f]; at += at < begin + 12 ? 1 : 97) {
      std::string bad = bytes;
      bad[at] = static_cast<char>(bad[at] ^ (1 << random_() % 8));
      ASSERT_NO_FATAL_FAILURE(Read(bad));
      if (text_ == Lines(0, 0)) continue;
      ASSERT_EQ(text_, Lines(f, f + 1)) << "byte " << at;
      ASSERT_EQ(skipped_.size(), 1u);
      EXPECT_EQ(skipped_[0].begin, begin);
    }
    // Damage of the header costs the same.
    std::string bad = bytes;
    bad.replace(begin, 20, std::string(20, '\0'));
    ASSERT_NO_FATAL_FAILURE(Read(bad));
    ASSERT_EQ(text_, Lines(f, f + 1));
  }
}

// The first frame and its metadata frame are damaged. A message in the second
// frame has a metadata frame that could be that of the first frame.
TEST_P(SegmentReaderForgedTest, FileNameRejectsForgedMetadata) {
  name_ = absl::StrCat(
      MakeTestDirectory(), "/server.host.20261124-034019.1.03010401.000001.",
      GetParam() == LineFormat::kText ? "log" : "jsonl", ".zst");
  // The first attempt finds the offset of the message.
  uint64_t distance = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    ASSERT_NO_FATAL_FAILURE(Begin(1));
    ASSERT_NO_FATAL_FAILURE(Add("a frame of its own"));
    const std::string forgery = Forgery(distance);
    ASSERT_NO_FATAL_FAILURE(
        Add(absl::StrCat(Noise(9000), forgery, Noise(25000))));
    ASSERT_NO_FATAL_FAILURE(Add("genuine"));
    distance = Bytes().find(forgery);
  }
  std::string bytes = Bytes();
  bytes.replace(0, 20, std::string(20, 'x'));
  bytes[ends_[0] - 1] ^= 1;
  ASSERT_NO_FATAL_FAILURE(Read(bytes));
  EXPECT_EQ(text_, Lines(0, 1));
  ASSERT_EQ(skipped_.size(), 1u);
  EXPECT_EQ(skipped_[0].begin, 0u);
  EXPECT_EQ(skipped_[0].end, ends_[0]);
}

TEST_P(SegmentReaderForgedTest, OtherFileWithForgeryIsRejected) {
  for (const char* name : {"/some.log.zst",
                           "/server.host.20261124-034019.1.03010401.000001."
                           "log.zst"}) {
    const std::string path = MakeTestDirectory() + name;
    WriteFile(path, absl::StrCat("a text ", Noise(1000), Forgery(), Noise(100),
                                 Forgery(200), " and more of it"));
    EXPECT_EQ(SegmentReader::Open(path).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

// No metadata frame leads to an open frame.
TEST_P(SegmentReaderForgedTest, OpenFrameAfterDamagedMetadataIsRead) {
  for (const int frames : {1, 2}) {
    ASSERT_NO_FATAL_FAILURE(Begin(20000));
    ASSERT_NO_FATAL_FAILURE(Add("a frame of its own"));
    if (frames == 2) {
      ASSERT_NO_FATAL_FAILURE(Add(Noise(25000)));
    }
    const uint64_t end = ends_.back();
    ASSERT_NO_FATAL_FAILURE(Add("genuine"));
    ASSERT_NO_FATAL_FAILURE(Add(absl::StrCat(Noise(17000), Forgery())));
    const std::string bytes = Bytes();
    ASSERT_EQ(bytes.size(), ends_.back());
    for (size_t back = 1; back < 140; ++back) {
      std::string bad = bytes;
      bad[end - back] ^= 0x10;
      ASSERT_NO_FATAL_FAILURE(Read(bad));
      ASSERT_EQ(text_, Lines(0, 0)) << back;
      ASSERT_EQ(skipped_.size(), 2u);
      EXPECT_FALSE(skipped_[0].is_truncated);
      EXPECT_EQ(skipped_[0].end, end);
      EXPECT_TRUE(skipped_[1].is_truncated);
      EXPECT_EQ(skipped_[1].begin, bytes.size());
    }
  }
}

}  // namespace
}  // namespace ringlog
