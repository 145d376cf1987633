// Tests that resume a segment whose writer died at any moment.
//
// Invariants checked, for a death after any write, with any number of bytes of
// the next write in the file:
//  - Reopen makes a file that plain zstd accepts, with each line that the
//    cursor covers once.
//  - An interrupted Reopen that is repeated makes the same bytes.
//  - A file that does not match the cursor is left unchanged.

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/testing/harness/test_files.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr size_t kBatchCount = 8;

class SegmentWriterReopenTest : public ::testing::Test {
 protected:
  // The state of the segment after batch i was written.
  struct Step {
    SegmentCursor cursor;
    std::string text;  // Text of batches 0 to i.
  };

  SegmentWriterReopenTest() : path_(MakeTestDirectory() + "/segment") {
    identity_.ring_id = {1, 2, 3};
    identity_.number = 7;
    options_.frame_bytes = 250;
    WriteSegment();
  }

  void WriteSegment() {
    auto writer = SegmentWriter::Create(path_, identity_, options_);
    ASSERT_TRUE(writer.ok()) << writer.status();
    std::string text;
    for (size_t i = 0; i < kBatchCount; ++i) {
      ASSERT_TRUE(AddAndWrite(i, writer->get()));
      text += Lines(i);
      steps_.push_back({(*writer)->cursor(), text});
    }
    ASSERT_TRUE((*writer)->AddEnd().ok());
    ASSERT_TRUE((*writer)->Write().ok());
    complete_ = ReadFile(path_);
  }

  // Returns the lines of a batch: a record and, in every third batch, a gap.
  static std::string Lines(size_t batch) {
    std::string lines = absl::StrCat("I20261124 03:03:04.123456 1 file.cc:42] ",
                                     batch * 2654435761, "\n");
    if (batch % 3 == 2) {
      absl::StrAppend(&lines,
                      "W20261124 03:03:04.123456 0 ringlog:0] gap\n"
                      " {\"cause\":\"unfinished\",\"first_position\":",
                      batch, ",\"end_position\":", batch, "}\n");
    }
    return lines;
  }

  static bool AddAndWrite(size_t i, SegmentWriter* writer) {
    const std::string lines = Lines(i);
    std::vector<Gap> gaps(i % 3 == 2 ? 1 : 0);
    for (Gap& gap : gaps) {
      gap.cause = GapCause::kUnfinished;
      gap.first_position = gap.end_position = i;
    }
    SegmentWriter::Batch batch;
    batch.lines = lines;
    batch.gaps = gaps;
    batch.summary.first_position = i;
    batch.summary.end_position = i + 1;
    batch.summary.records[0] = 1;
    batch.summary.min_time_ns = batch.summary.max_time_ns = 1000;
    return writer->AddBatch(batch).ok() && writer->Write().ok();
  }

  void Put(const std::string& bytes) {
    // Makes a new file, because ext4 flushes a file that was truncated to zero
    // when it is closed.
    unlink(path_.c_str());
    WriteFile(path_, bytes);
  }

  absl::StatusOr<std::unique_ptr<SegmentWriter>> Resume(
      const SegmentCursor& cursor) const {
    absl::StatusOr<SegmentFile> file = SegmentFile::Open(path_, O_RDWR);
    if (!file.ok()) return file.status();
    return SegmentWriter::Reopen(*std::move(file), identity_, cursor, options_);
  }

  absl::Status Reopen(const SegmentCursor& cursor, bool end) {
    auto writer = Resume(cursor);
    if (!writer.ok()) return writer.status();
    if (!end) return absl::OkStatus();
    absl::Status status = (*writer)->AddEnd();
    status.Update((*writer)->Write());
    return status;
  }

  void ExpectFile(absl::string_view text) {
    bool complete = false;
    ASSERT_EQ(Decompress(path_, &complete), text);
    EXPECT_TRUE(complete);
    const std::string file = ReadFile(path_);
    std::string once(text.size() + 1, '\0');
    ASSERT_EQ(
        ZSTD_decompress(once.data(), once.size(), file.data(), file.size()),
        text.size());
  }

  void ExpectRejected(const std::string& file, const SegmentCursor& cursor,
                      absl::StatusCode code) {
    Put(file);
    EXPECT_EQ(Reopen(cursor, false).code(), code);
    EXPECT_EQ(ReadFile(path_), file) << "the file was changed";
  }

  std::string path_;
  SegmentIdentity identity_;
  SegmentWriterOptions options_;
  std::vector<Step> steps_;
  std::string complete_;
};

TEST_F(SegmentWriterReopenTest, ExtraBytesDoNotChangeResult) {
  for (const Step& step : steps_) {
    std::string expected;
    for (uint64_t length = step.cursor.segment_bytes;
         length <= complete_.size(); ++length) {
      Put(complete_.substr(0, length));
      ASSERT_TRUE(Reopen(step.cursor, true).ok());
      const std::string file = ReadFile(path_);
      if (expected.empty()) {
        expected = file;
        ASSERT_NO_FATAL_FAILURE(ExpectFile(step.text));
      }
      ASSERT_EQ(file, expected) << "length " << length;
    }
  }
}

TEST_F(SegmentWriterReopenTest, RepeatedReopenGivesSameBytes) {
  for (const Step& step : steps_) {
    Put(complete_);
    ASSERT_TRUE(Reopen(step.cursor, true).ok());
    const std::string expected = ReadFile(path_);
    for (uint64_t length = step.cursor.segment_bytes; length <= expected.size();
         ++length) {
      Put(expected.substr(0, length));
      ASSERT_TRUE(Reopen(step.cursor, true).ok());
      ASSERT_EQ(ReadFile(path_), expected) << "interrupted at " << length;
    }
  }
}

TEST_F(SegmentWriterReopenTest, ReopenedFileIsValidZstd) {
  for (const Step& step : steps_) {
    Put(complete_.substr(0, step.cursor.segment_bytes));
    ASSERT_TRUE(Reopen(step.cursor, false).ok());
    ASSERT_NO_FATAL_FAILURE(ExpectFile(step.text));
  }
}

TEST_F(SegmentWriterReopenTest, LaterBatchesFollowEarlierOnes) {
  for (size_t i = 0; i < kBatchCount; ++i) {
    Put(complete_);
    auto writer = Resume(steps_[i].cursor);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (size_t later = i + 1; later < kBatchCount; ++later) {
      ASSERT_TRUE(AddAndWrite(later, writer->get()));
      // A second death, and another Reopen with the newer cursor.
      const SegmentCursor cursor = (*writer)->cursor();
      writer = Resume(cursor);
      ASSERT_TRUE(writer.ok()) << writer.status();
    }
    EXPECT_EQ((*writer)->text_bytes(), steps_.back().text.size());
    ASSERT_TRUE((*writer)->AddEnd().ok());
    ASSERT_TRUE((*writer)->Write().ok());
    ASSERT_NO_FATAL_FAILURE(ExpectFile(steps_.back().text));
  }
}

TEST_F(SegmentWriterReopenTest, ReopenedFrameHasRecoveredMetadata) {
  // Batches 1 to 3 are one frame, with a gap in batch 2.
  const SegmentCursor& cursor = steps_[2].cursor;
  ASSERT_NE(cursor.frame_offset, cursor.segment_bytes);
  Put(complete_);
  ASSERT_TRUE(Reopen(cursor, false).ok());
  const std::string file = ReadFile(path_);
  const char* const frame = file.data() + cursor.frame_offset;
  const size_t bytes =
      ZSTD_findFrameCompressedSize(frame, file.size() - cursor.frame_offset);
  ASSERT_FALSE(ZSTD_isError(bytes));
  const size_t at = cursor.frame_offset + bytes + kSkippableHeaderBytes;
  absl::StatusOr<FrameMetadata> metadata =
      DecodeMetadataPayload(absl::string_view(file).substr(at));
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_TRUE(metadata->identity.is_recovered);
  EXPECT_EQ(metadata->compressed_bytes, bytes);
  EXPECT_EQ(std::memcmp(&metadata->text_checksum, frame + bytes - 4, 4), 0);
  EXPECT_EQ(metadata->identity.number, 7u);
  EXPECT_EQ(metadata->identity.ring_id, identity_.ring_id);
  EXPECT_EQ(metadata->summary.first_position, 1u);
  EXPECT_EQ(metadata->summary.end_position, 3u);
  EXPECT_EQ(metadata->summary.record_count(), 2u);
  ASSERT_EQ(metadata->gaps.size(), 1u);
  EXPECT_EQ(metadata->gap_count, 1u);
  EXPECT_EQ(metadata->gaps[0].first_position, 2u);
}

TEST_F(SegmentWriterReopenTest, CursorBeforeFirstBatchGivesEmptySegment) {
  SegmentCursor cursor;
  cursor.segment_number = 7;
  ASSERT_TRUE(Reopen(cursor, true).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectFile(""));
}

TEST_F(SegmentWriterReopenTest, DoesNotChangeOtherSegment) {
  const SegmentCursor cursor = steps_[3].cursor;
  SegmentCursor other = cursor;
  other.segment_number = 8;
  ExpectRejected(complete_, other, absl::StatusCode::kInvalidArgument);
  other = cursor;
  other.format = LineFormat::kJson;
  ExpectRejected(complete_, other, absl::StatusCode::kInvalidArgument);
  identity_.ring_id[15] = 1;
  ExpectRejected(complete_, cursor, absl::StatusCode::kDataLoss);
}

TEST_F(SegmentWriterReopenTest, DoesNotChangeTooShortFile) {
  for (const Step& step : steps_) {
    ExpectRejected(complete_.substr(0, step.cursor.segment_bytes - 1),
                   step.cursor, absl::StatusCode::kDataLoss);
    ExpectRejected("", step.cursor, absl::StatusCode::kDataLoss);
  }
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_EQ(Reopen(steps_[0].cursor, false).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SegmentWriterReopenTest, RejectsCursorThatDoesNotMatch) {
  const SegmentCursor cursor = steps_[2].cursor;
  SegmentCursor wrong = cursor;
  wrong.open_frame.text_bytes += 1;
  ExpectRejected(complete_, wrong, absl::StatusCode::kDataLoss);
  wrong.open_frame.text_bytes -= 2;
  ExpectRejected(complete_, wrong, absl::StatusCode::kDataLoss);
  wrong.open_frame.text_bytes = ~uint64_t{0};
  ExpectRejected(complete_, wrong, absl::StatusCode::kDataLoss);
  for (uint64_t bytes = 1; bytes < cursor.segment_bytes; ++bytes) {
    if (bytes == cursor.frame_offset) continue;
    wrong = cursor;
    wrong.frame_offset = bytes;
    ExpectRejected(complete_, wrong, absl::StatusCode::kDataLoss);
  }
}

// Reopen does not check the content of the frames before the open frame. A
// flipped bit there damages that frame, but not the frames after it.
TEST_F(SegmentWriterReopenTest, FlippedBitChangesNoOtherByte) {
  const Step& step = steps_[5];
  Put(complete_);
  ASSERT_TRUE(Reopen(step.cursor, true).ok());
  const std::string expected = ReadFile(path_);
  size_t rejected = 0;
  for (uint64_t at = 0; at < step.cursor.segment_bytes; ++at) {
    std::string file = complete_;
    file[at] = static_cast<char>(file[at] ^ (1 << (at % 8)));
    Put(file);
    if (!Reopen(step.cursor, true).ok()) {
      ++rejected;
      ASSERT_EQ(ReadFile(path_), file) << "the file was changed";
      continue;
    }
    // A flipped bit in the open frame changes its checksum.
    if (at >= step.cursor.frame_offset) continue;
    std::string flipped = expected;
    flipped[at] = file[at];
    ASSERT_EQ(ReadFile(path_), flipped) << at;
  }
  EXPECT_GT(rejected, step.cursor.segment_bytes / 3);
}

}  // namespace
}  // namespace ringlog
