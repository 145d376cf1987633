// Tests that read the files of SegmentWriter with libzstd, and with a separate
// reader of zstd's seekable format 0.1.0.

#include "ringlog/compress/segment/segment_writer.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/testing/harness/test_files.h"
#include "zstd.h"

namespace ringlog {
namespace {

uint32_t Load32(absl::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// Returns the entries of the seek table at the end of `file`, in "Zstandard
// Seekable Format" 0.1.0.
std::vector<SeekEntry> ReadSeekTable(absl::string_view file) {
  std::vector<SeekEntry> entries;
  EXPECT_GE(file.size(), 17u);
  EXPECT_EQ(Load32(file, file.size() - 4), 0x8F92EAB1u);
  EXPECT_EQ(file[file.size() - 5], 0) << "entries have no checksums";
  const size_t count = Load32(file, file.size() - 9);
  const size_t payload = count * 8 + 9;
  const size_t begin = file.size() - payload - 8;
  EXPECT_EQ(Load32(file, begin), 0x184D2A5Eu);
  EXPECT_EQ(Load32(file, begin + 4), payload);
  for (size_t i = 0; i < count; ++i) {
    entries.push_back(
        {Load32(file, begin + 8 + i * 8), Load32(file, begin + 12 + i * 8)});
  }
  return entries;
}

class SegmentWriterTest : public ::testing::Test {
 protected:
  SegmentWriterTest() : path_(MakeTestDirectory() + "/segment") {}

  void Create(size_t frame_bytes = SegmentWriterOptions().frame_bytes) {
    SegmentWriterOptions options;
    options.frame_bytes = frame_bytes;
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Create(path_, SegmentIdentity(), options);
    ASSERT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
  }

  void Add(absl::string_view lines, absl::Span<const Gap> gaps = {}) {
    SegmentWriter::Batch batch;
    batch.lines = lines;
    batch.gaps = gaps;
    ASSERT_TRUE(writer_->AddBatch(batch).ok());
    absl::StrAppend(&lines_, lines);
  }

  void AddAndWrite(absl::string_view lines) {
    Add(lines);
    ASSERT_TRUE(writer_->Write().ok());
  }

  void End() {
    ASSERT_TRUE(writer_->AddEnd().ok());
    ASSERT_TRUE(writer_->Write().ok());
    EXPECT_EQ(writer_->segment_bytes(), ReadFile(path_).size());
    EXPECT_EQ(writer_->text_bytes(), lines_.size());
  }

  // Returns about `bytes` bytes of lines, different ones in each call.
  std::string MakeLines(size_t bytes) {
    std::string lines;
    while (lines.size() < bytes) {
      absl::StrAppend(&lines, "I20261124 03:03:04.123456 1 file.cc:42] ",
                      line_ * 2654435761, "\n");
      ++line_;
    }
    return lines;
  }

  // Decodes the metadata frame at `at`.
  FrameMetadata MetadataAt(absl::string_view file, size_t at) {
    EXPECT_EQ(Load32(file, at), kMetadataFrameMagic);
    absl::StatusOr<FrameMetadata> metadata =
        DecodeMetadataPayload(file.substr(at + 8, Load32(file, at + 4)));
    EXPECT_TRUE(metadata.ok()) << metadata.status();
    return metadata.value_or(FrameMetadata());
  }

  const std::string path_;
  std::unique_ptr<SegmentWriter> writer_;
  std::string lines_;  // All added lines.
  uint64_t line_ = 1;
};

TEST_F(SegmentWriterTest, PlainZstdDecompressesSegment) {
  ASSERT_NO_FATAL_FAILURE(Create(5000));
  for (size_t i = 0; i < 20; ++i) AddAndWrite(MakeLines(i * 300));
  ASSERT_NO_FATAL_FAILURE(End());
  const std::string file = ReadFile(path_);
  std::string text(lines_.size() + 1, '\0');
  const size_t bytes =
      ZSTD_decompress(text.data(), text.size(), file.data(), file.size());
  ASSERT_FALSE(ZSTD_isError(bytes)) << ZSTD_getErrorName(bytes);
  text.resize(bytes);
  EXPECT_EQ(text, lines_);
}

TEST_F(SegmentWriterTest, SeekTableListsEveryFrame) {
  ASSERT_NO_FATAL_FAILURE(Create(5000));
  for (size_t i = 0; i < 20; ++i) AddAndWrite(MakeLines(1 + i * 300));
  ASSERT_NO_FATAL_FAILURE(End());
  const std::string file = ReadFile(path_);
  const std::vector<SeekEntry> entries = ReadSeekTable(file);
  ASSERT_GT(entries.size(), 8u);
  size_t at = 0;
  std::string text;
  for (size_t i = 0; i < entries.size(); ++i) {
    const size_t bytes =
        ZSTD_findFrameCompressedSize(file.data() + at, file.size() - at);
    ASSERT_EQ(entries[i].compressed_bytes, bytes) << i;
    // Frames and metadata frames alternate.
    const bool is_skippable = (Load32(file, at) & 0xFFFFFFF0) == 0x184D2A50;
    ASSERT_EQ(is_skippable, i % 2 == 1) << i;
    std::string frame_text(entries[i].decompressed_bytes, '\0');
    ASSERT_EQ(ZSTD_decompress(frame_text.data(), frame_text.size(),
                              file.data() + at, bytes),
              frame_text.size());
    text += frame_text;
    at += bytes;
  }
  EXPECT_EQ(text, lines_);
  EXPECT_EQ(at + 8 + entries.size() * 8 + 9, file.size());
}

TEST_F(SegmentWriterTest, FrameEndsAtOneMebibyte) {
  ASSERT_NO_FATAL_FAILURE(Create());
  constexpr size_t kBatchBytes = 100 << 10;
  for (int i = 0; i < 35; ++i) AddAndWrite(MakeLines(kBatchBytes));
  ASSERT_NO_FATAL_FAILURE(End());
  const std::vector<SeekEntry> entries = ReadSeekTable(ReadFile(path_));
  ASSERT_EQ(entries.size(), 2u * 5);
  EXPECT_LT(entries[0].decompressed_bytes, kBatchBytes + 100)
      << "the first frame is one batch";
  for (size_t i = 2; i < 8; i += 2) {
    EXPECT_GE(entries[i].decompressed_bytes, 1u << 20);
    EXPECT_LT(entries[i].decompressed_bytes, (1u << 20) + kBatchBytes + 100);
  }
}

TEST_F(SegmentWriterTest, OpenFrameIsReadable) {
  ASSERT_NO_FATAL_FAILURE(Create());
  for (size_t i = 1; i < 20; ++i) {
    ASSERT_NO_FATAL_FAILURE(AddAndWrite(MakeLines(i * i * 50)));
    bool complete = false;
    ASSERT_EQ(Decompress(path_, &complete), lines_);
    EXPECT_EQ(complete, i == 1);
    EXPECT_EQ(writer_->cursor().segment_bytes, ReadFile(path_).size());
    EXPECT_EQ(writer_->text_bytes(), lines_.size());
  }
}

TEST_F(SegmentWriterTest, AddDoesNotWrite) {
  ASSERT_NO_FATAL_FAILURE(Create());
  ASSERT_NO_FATAL_FAILURE(Add("one\n"));
  EXPECT_EQ(ReadFile(path_), "");
  EXPECT_EQ(writer_->cursor().segment_bytes, 0u);
  EXPECT_EQ(writer_->text_bytes(), 0u);
}

TEST_F(SegmentWriterTest, BlocksEndBetweenRecords) {
  ASSERT_NO_FATAL_FAILURE(Create());
  std::string lines;
  for (int i = 0; i < 4000; ++i) {
    absl::StrAppend(&lines, MakeLines(1), "\tgoes on\n\t", i, "\n");
  }
  ASSERT_NO_FATAL_FAILURE(AddAndWrite(lines));
  const std::string file = ReadFile(path_);
  std::vector<size_t> text_bytes;
  for (size_t length = 0; length < file.size(); length += 101) {
    WriteFile(path_, file.substr(0, length));
    const std::string text = Decompress(path_);
    ASSERT_EQ(text, lines_.substr(0, text.size()));
    ASSERT_TRUE(text.size() == lines.size() || lines[text.size()] == 'I')
        << "text ends within a record, at byte " << text.size();
    if (text_bytes.empty() || text_bytes.back() != text.size()) {
      text_bytes.push_back(text.size());
    }
  }
  EXPECT_GE(text_bytes.size(), lines.size() / (128 << 10));
}

TEST_F(SegmentWriterTest, RecordMayExceedBlock) {
  ASSERT_NO_FATAL_FAILURE(Create());
  AddAndWrite(MakeLines(100) + "I" + std::string(700000, 'x') + "\n" +
              MakeLines(100));
  ASSERT_NO_FATAL_FAILURE(End());
  EXPECT_TRUE(Decompress(path_) == lines_);
}

TEST_F(SegmentWriterTest, EmptySegmentIsValid) {
  ASSERT_NO_FATAL_FAILURE(Create());
  ASSERT_NO_FATAL_FAILURE(Add(""));
  ASSERT_TRUE(writer_->Write().ok());
  EXPECT_EQ(ReadFile(path_), "");
  ASSERT_NO_FATAL_FAILURE(End());
  bool complete = false;
  EXPECT_EQ(Decompress(path_, &complete), "");
  EXPECT_TRUE(complete);
  EXPECT_EQ(ReadSeekTable(ReadFile(path_)).size(), 2u);
}

TEST_F(SegmentWriterTest, MetadataLimitsListedGaps) {
  ASSERT_NO_FATAL_FAILURE(Create(1000));
  ASSERT_NO_FATAL_FAILURE(AddAndWrite("first\n"));
  const size_t second = ReadFile(path_).size();
  std::vector<Gap> gaps(kMaxFrameGaps - 1);
  for (size_t i = 0; i < gaps.size(); ++i) gaps[i].first_position = i;
  ASSERT_NO_FATAL_FAILURE(Add("some\n", gaps));
  ASSERT_NO_FATAL_FAILURE(Add("more\n", gaps));
  ASSERT_NO_FATAL_FAILURE(End());
  const std::string file = ReadFile(path_);
  const FrameMetadata metadata = MetadataAt(
      file, second + ZSTD_findFrameCompressedSize(file.data() + second,
                                                  file.size() - second));
  EXPECT_EQ(metadata.gap_count, 2 * gaps.size());
  ASSERT_EQ(metadata.gaps.size(), kMaxFrameGaps);
  EXPECT_EQ(metadata.gaps[kMaxFrameGaps - 2].first_position, kMaxFrameGaps - 2);
  EXPECT_EQ(metadata.gaps[kMaxFrameGaps - 1].first_position, 0u);
}

TEST_F(SegmentWriterTest, DoesNotOverwriteExistingFile) {
  WriteFile(path_, "precious");
  EXPECT_EQ(SegmentWriter::Create(path_, SegmentIdentity(), {}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path_), "precious");
  const absl::Status no_directory =
      SegmentWriter::Create("/no/such/dir", SegmentIdentity(), {}).status();
  EXPECT_EQ(no_directory.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(no_directory.message(), "/no/such/dir"));
}

TEST_F(SegmentWriterTest, RejectsTooLongBatch) {
  ASSERT_NO_FATAL_FAILURE(Create());
  constexpr size_t kBytes = SegmentWriter::kMaxBatchBytes + 1;
  // Pages that are never accessed.
  void* const pages = mmap(nullptr, kBytes, PROT_READ,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  SegmentWriter::Batch batch;
  batch.lines = absl::string_view(static_cast<const char*>(pages), kBytes);
  EXPECT_EQ(writer_->AddBatch(batch).code(),
            absl::StatusCode::kInvalidArgument);
  munmap(pages, kBytes);
  ASSERT_NO_FATAL_FAILURE(AddAndWrite("line\n"));
  EXPECT_EQ(Decompress(path_), "line\n");
}

// Calls Write() while no file of this process may grow beyond `limit_bytes`.
// The limit also holds for the test's own output, so the caller checks the
// result afterwards.
absl::Status WriteWithin(uint64_t limit_bytes, SegmentWriter* writer) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit = {limit_bytes, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  absl::Status status = writer->Write();
  setrlimit(RLIMIT_FSIZE, &before);
  return status;
}

TEST_F(SegmentWriterTest, FailedWriteCanBeRetried) {
  ASSERT_NO_FATAL_FAILURE(Create(3000));
  for (size_t i = 0; i < 12; ++i) {
    const std::string good = ReadFile(path_);
    const std::string good_lines = lines_;
    ASSERT_NO_FATAL_FAILURE(Add(MakeLines(700)));
    for (const uint64_t room : std::vector<uint64_t>{0, 1, 30}) {
      const absl::Status status =
          WriteWithin(good.size() + room, writer_.get());
      ASSERT_FALSE(status.ok()) << i << ", " << room;
      EXPECT_TRUE(absl::StrContains(status.message(), path_)) << status;
      ASSERT_EQ(ReadFile(path_), good);
      EXPECT_EQ(writer_->segment_bytes(), good.size());
      EXPECT_EQ(writer_->text_bytes(), good_lines.size());
    }
    ASSERT_TRUE(writer_->Write().ok());
    ASSERT_EQ(Decompress(path_), lines_);
  }
  ASSERT_TRUE(writer_->AddEnd().ok());
  ASSERT_FALSE(WriteWithin(ReadFile(path_).size() + 5, writer_.get()).ok());
  ASSERT_EQ(Decompress(path_), lines_);
  ASSERT_TRUE(writer_->Write().ok());
  bool complete = false;
  EXPECT_EQ(Decompress(path_, &complete), lines_);
  EXPECT_TRUE(complete);
  EXPECT_FALSE(ReadSeekTable(ReadFile(path_)).empty());
}

}  // namespace
}  // namespace ringlog
