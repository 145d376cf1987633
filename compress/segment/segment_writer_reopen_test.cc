// Going on with a segment whose writer died at any moment.
//
// Invariants checked, for a death after any write, with any number of bytes of
// the next write in the file:
//   - the file that Reopen makes has the lines that the cursor vouches for,
//   each
//     once, and is what plain zstd accepts
//   - it is the same file, byte for byte, however often that was interrupted
//   - a file that is not what the cursor says is left as it was

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
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/testing/harness/read_segments.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr size_t kBatchCount = 8;

class SegmentWriterReopenTest : public ::testing::Test {
 protected:
  // What a writer had done when it had written batch i.
  struct Step {
    SegmentCursor cursor;
    std::string text;  // so far
  };

  SegmentWriterReopenTest() : path_(MakeTestDirectory() + "/segment") {
    identity_.ring_id = {1, 2, 3};
    identity_.number = 7;
    options_.frame_bytes = 250;
    WriteWholeSegment();
  }

  void WriteWholeSegment() {
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
    whole_ = ReadFile(path_);
  }

  // A record and, in every third batch, a gap.
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
    // A new file each time: ext4 puts one that was emptied on the disk at once.
    unlink(path_.c_str());
    WriteFile(path_, bytes);
  }

  absl::Status Reopen(const SegmentCursor& cursor, bool end) {
    auto writer = SegmentWriter::Reopen(path_, identity_, cursor, options_);
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

  void ExpectRefused(const std::string& file, const SegmentCursor& cursor,
                     absl::StatusCode code) {
    Put(file);
    EXPECT_EQ(Reopen(cursor, false).code(), code);
    EXPECT_EQ(ReadFile(path_), file) << "it has been changed";
  }

  std::string path_;
  SegmentIdentity identity_;
  SegmentWriterOptions options_;
  std::vector<Step> steps_;
  std::string whole_;
};

TEST_F(SegmentWriterReopenTest, CutBehindACursorEveryLengthGivesTheSameFile) {
  for (const Step& step : steps_) {
    std::string expected;
    for (uint64_t length = step.cursor.segment_bytes; length <= whole_.size();
         ++length) {
      Put(whole_.substr(0, length));
      ASSERT_TRUE(Reopen(step.cursor, true).ok());
      const std::string file = ReadFile(path_);
      if (expected.empty()) {
        expected = file;
        ASSERT_NO_FATAL_FAILURE(ExpectFile(step.text));
      }
      ASSERT_EQ(file, expected) << "cut at " << length;
    }
  }
}

TEST_F(SegmentWriterReopenTest, InterruptedReopenDoneAgainGivesTheSameFile) {
  for (const Step& step : steps_) {
    Put(whole_);
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

TEST_F(SegmentWriterReopenTest, ReopenAloneMakesAFileThatZstdAccepts) {
  for (const Step& step : steps_) {
    Put(whole_.substr(0, step.cursor.segment_bytes));
    ASSERT_TRUE(Reopen(step.cursor, false).ok());
    ASSERT_NO_FATAL_FAILURE(ExpectFile(step.text));
  }
}

TEST_F(SegmentWriterReopenTest, BatchesAddedLaterFollowThoseOfBefore) {
  for (size_t i = 0; i < kBatchCount; ++i) {
    Put(whole_);
    auto writer =
        SegmentWriter::Reopen(path_, identity_, steps_[i].cursor, options_);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (size_t later = i + 1; later < kBatchCount; ++later) {
      ASSERT_TRUE(AddAndWrite(later, writer->get()));
      // A second death, and another Reopen with the newer cursor.
      const SegmentCursor cursor = (*writer)->cursor();
      writer = SegmentWriter::Reopen(path_, identity_, cursor, options_);
      ASSERT_TRUE(writer.ok()) << writer.status();
    }
    EXPECT_EQ((*writer)->text_bytes(), steps_.back().text.size());
    ASSERT_TRUE((*writer)->AddEnd().ok());
    ASSERT_TRUE((*writer)->Write().ok());
    ASSERT_NO_FATAL_FAILURE(ExpectFile(steps_.back().text));
  }
}

TEST_F(SegmentWriterReopenTest, FrameClosedLaterSaysSoAndNamesItsGaps) {
  // In batches 1 to 3 there is one frame, and a gap in batch 2.
  const SegmentCursor& cursor = steps_[2].cursor;
  ASSERT_NE(cursor.frame_offset, cursor.segment_bytes);
  Put(whole_);
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

TEST_F(SegmentWriterReopenTest, CursorBeforeTheFirstBatchMakesAnEmptySegment) {
  SegmentCursor cursor;
  cursor.segment_number = 7;
  ASSERT_TRUE(Reopen(cursor, true).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectFile(""));
}

TEST_F(SegmentWriterReopenTest, AnotherSegmentsFileIsLeftAlone) {
  const SegmentCursor cursor = steps_[3].cursor;
  SegmentCursor other = cursor;
  other.segment_number = 8;
  ExpectRefused(whole_, other, absl::StatusCode::kInvalidArgument);
  other = cursor;
  other.format = LineFormat::kJson;
  ExpectRefused(whole_, other, absl::StatusCode::kInvalidArgument);
  identity_.ring_id[15] = 1;
  ExpectRefused(whole_, cursor, absl::StatusCode::kDataLoss);
}

TEST_F(SegmentWriterReopenTest, FileShorterThanTheCursorIsLeftAlone) {
  for (const Step& step : steps_) {
    ExpectRefused(whole_.substr(0, step.cursor.segment_bytes - 1), step.cursor,
                  absl::StatusCode::kDataLoss);
    ExpectRefused("", step.cursor, absl::StatusCode::kDataLoss);
  }
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_EQ(Reopen(steps_[0].cursor, false).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SegmentWriterReopenTest, CursorThatContradictsTheFileIsRefused) {
  const SegmentCursor cursor = steps_[2].cursor;
  SegmentCursor wrong = cursor;
  wrong.open_frame.text_bytes += 1;
  ExpectRefused(whole_, wrong, absl::StatusCode::kDataLoss);
  wrong.open_frame.text_bytes -= 2;
  ExpectRefused(whole_, wrong, absl::StatusCode::kDataLoss);
  wrong.open_frame.text_bytes = ~uint64_t{0};
  ExpectRefused(whole_, wrong, absl::StatusCode::kDataLoss);
  for (uint64_t bytes = 1; bytes < cursor.segment_bytes; ++bytes) {
    if (bytes == cursor.frame_offset) continue;
    wrong = cursor;
    wrong.frame_offset = bytes;
    ExpectRefused(whole_, wrong, absl::StatusCode::kDataLoss);
  }
}

// The frames before the open one are only walked: what a bit changes there in
// a record costs that frame when it is read, and not those that follow.
TEST_F(SegmentWriterReopenTest, FlippedBitIsRefusedOrChangesNoOtherByte) {
  const Step& step = steps_[5];
  Put(whole_);
  ASSERT_TRUE(Reopen(step.cursor, true).ok());
  const std::string expected = ReadFile(path_);
  size_t refused = 0;
  for (uint64_t at = 0; at < step.cursor.segment_bytes; ++at) {
    std::string file = whole_;
    file[at] = static_cast<char>(file[at] ^ (1 << (at % 8)));
    Put(file);
    if (!Reopen(step.cursor, true).ok()) {
      ++refused;
      ASSERT_EQ(ReadFile(path_), file) << "it has been changed";
      continue;
    }
    if (at >= step.cursor.frame_offset) continue;  // another checksum then
    std::string flipped = expected;
    flipped[at] = file[at];
    ASSERT_EQ(ReadFile(path_), flipped) << at;
  }
  EXPECT_GT(refused, step.cursor.segment_bytes / 3);
}

}  // namespace
}  // namespace ringlog
