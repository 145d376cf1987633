#include "ringlog/compress/sample_segment.h"

#include <memory>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/batch_builder.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/testing/read_segments.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr uint64_t kChecksumBytes = 4;

class Maker {
 public:
  Maker(LineFormat format, uint64_t seed, size_t frame_bytes)
      : batch_(format, 100), random_(seed) {
    SegmentIdentity identity;
    identity.ring_id = {1, 2, 3};
    identity.format = format;
    SegmentWriterOptions options;
    options.frame_bytes = frame_bytes;
    path_ = absl::StrCat(MakeTestDirectory(), "/segment");
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Create(path_, identity, options);
    EXPECT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
  }

  void AddFrame() {
    SampleSegment::Frame frame;
    frame.begin = writer_->cursor().frame_offset;
    frame.first_position = batch_.end_position();
    AddRecord("\n\t" + Noise(12) + "\n" + Noise(8) + "\n");
    while (!WriteBlock(&frame)) {
      const int count = static_cast<int>(random_() % 3 + 1);
      for (int i = 0; i < count; ++i) AddRecord(Words());
      if (random_() % 4 == 0) AddGap();
    }
    frame.end_position = batch_.end_position();
    sample_.frames.push_back(std::move(frame));
  }

  SampleSegment Finish() {
    EXPECT_TRUE(writer_->AddEnd().ok());
    EXPECT_TRUE(writer_->Write().ok());
    sample_.bytes = ReadFile(path_);
    for (SampleSegment::Frame& frame : sample_.frames) {
      const size_t bytes =
          ZSTD_findFrameCompressedSize(sample_.bytes.data() + frame.begin,
                                       sample_.bytes.size() - frame.begin);
      EXPECT_FALSE(ZSTD_isError(bytes));
      frame.end = frame.begin + bytes;
      frame.blocks.back().end = frame.end - kChecksumBytes;
    }
    return std::move(sample_);
  }

 private:
  // Printable, so that zstd finds nothing in few of them.
  std::string Noise(size_t bytes) {
    std::string noise(bytes, ' ');
    for (char& c : noise) c = static_cast<char>('!' + random_() % 90);
    return noise;
  }

  std::string Words() {
    std::string text;
    const int count = static_cast<int>(random_() % 12);
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&text, "word ", random_() % 100,
                      random_() % 5 == 0 ? "\n" : " ");
    }
    return text;
  }

  void AddRecord(absl::string_view text) {
    Record record;
    record.time_ns = 1795489439000000000 + static_cast<int64_t>(random_() >> 4);
    record.tid = 12345;
    record.line = 42;
    record.severity = static_cast<Severity>(random_() % 4);
    record.file = "file.cc";
    record.text = text;
    char head[kRecordHeadFixedBytes + 64];
    const size_t head_bytes = EncodeRecordHead(record, absl::MakeSpan(head));
    const size_t before = batch_.text_bytes();
    batch_.AddRecord(batch_.end_position(), 2, {head, head_bytes}, text);
    KeepLines(before);
  }

  void AddGap() {
    Gap gap;
    gap.cause = GapCause::kUnfinished;
    gap.first_position = batch_.end_position();
    gap.end_position = gap.first_position + 1 + random_() % 5;
    const size_t before = batch_.text_bytes();
    batch_.AddGap(gap, 1795489439000000000);
    KeepLines(before);
  }

  void KeepLines(size_t before) {
    sample_.records.emplace_back(batch_.batch().lines.substr(before));
  }

  // True if that was the frame's last.
  bool WriteBlock(SampleSegment::Frame* frame) {
    const std::string lines(batch_.batch().lines);
    EXPECT_TRUE(writer_->AddBatch(batch_.batch()).ok());
    EXPECT_TRUE(writer_->Write().ok());
    batch_.Clear();
    frame->text += lines;
    const SegmentCursor& cursor = writer_->cursor();
    frame->blocks.push_back({cursor.segment_bytes, lines});
    frame->metadata_end = cursor.segment_bytes;
    return cursor.frame_offset == cursor.segment_bytes;
  }

  BatchBuilder batch_;
  std::mt19937_64 random_;
  std::string path_;
  std::unique_ptr<SegmentWriter> writer_;
  SampleSegment sample_;
};

}  // namespace

std::string SampleSegment::TextWithout(size_t lost) const {
  std::string text;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (i != lost) text += frames[i].text;
  }
  return text;
}

std::string SampleSegment::TextUpTo(uint64_t cut) const {
  std::string text;
  for (const Frame& frame : frames) {
    for (const Block& block : frame.blocks) {
      if (block.end <= cut) text += block.text;
    }
  }
  return text;
}

SampleSegment MakeSampleSegment(LineFormat format, size_t frame_count,
                                uint64_t seed, size_t frame_bytes) {
  Maker maker(format, seed, frame_bytes);
  for (size_t i = 0; i < frame_count; ++i) maker.AddFrame();
  return maker.Finish();
}

}  // namespace ringlog
