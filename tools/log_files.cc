#include "ringlog/tools/log_files.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/rotation.h"

namespace ringlog {
namespace {

RingOptions MakeRingOptions(const HandMadeProcess::Options& options) {
  RingOptions ring;
  ring.slot_count = options.slot_count;
  ring.overflow = options.overflow;
  ring.program = options.program;
  ring.host = "host";
  return ring;
}

}  // namespace

Record TestRecord(int64_t microseconds, absl::string_view text) {
  Record record;
  record.time_ns = kTestTimeNs + microseconds * 1000;
  record.tid = 42;
  record.file = "server.cc";
  record.line = 7;
  record.text = text;
  return record;
}

HandMadeProcess::HandMadeProcess(const std::string& directory,
                                 const Options& options)
    : directory_(directory), options_(options) {
  absl::StatusOr<std::unique_ptr<Ring>> ring =
      Ring::CreateIn(directory, RingFileName, MakeRingOptions(options));
  EXPECT_TRUE(ring.ok()) << ring.status();
  ring_ = *std::move(ring);
  summary_.first_position = summary_.end_position = ring_->take_position();
}

void HandMadeProcess::Log(const Record& record) {
  char head[96];
  const size_t size = EncodeRecordHead(record, absl::MakeSpan(head));
  ring_->Append(record.severity, absl::string_view(head, size), record.text);
}

void HandMadeProcess::Log(absl::string_view text) {
  Log(TestRecord(++microseconds_, text));
}

void HandMadeProcess::LeaveUnfinished() {
  EXPECT_TRUE(ring_->Claim(Severity::kInfo, 50, 10).has_value());
}

void HandMadeProcess::TakeAndWrite() {
  if (writer_ == nullptr) BeginSegment();
  while (std::optional<Ring::Taken> taken = ring_->Take()) AddToBatch(*taken);
  for (const Gap& gap : gaps_) {
    AppendGap(options_.format, gap, kTestTimeNs, &lines_);
  }
  SegmentWriter::Batch batch;
  batch.lines = lines_;
  batch.summary = summary_;
  batch.summary.text_bytes = lines_.size();
  batch.gaps = gaps_;
  ASSERT_TRUE(writer_->AddBatch(batch).ok());
  const absl::Status written = writer_->Write();
  ASSERT_TRUE(written.ok()) << written;
}

void HandMadeProcess::AddToBatch(const Ring::Taken& taken) {
  Record record;
  ASSERT_TRUE(DecodeRecord(taken.head, taken.body, &record));
  AppendRecord(options_.format, record, taken.slots.position, &lines_);
  summary_.end_position = taken.slots.end();
  ++summary_.records[static_cast<size_t>(record.severity)];
  if (summary_.min_time_ns == 0) summary_.min_time_ns = record.time_ns;
  summary_.max_time_ns = record.time_ns;
}

void HandMadeProcess::Publish() {
  for (const Gap& gap : gaps_) {
    const auto cause = static_cast<size_t>(gap.cause);
    if (cause >= reported_drops_.size()) continue;
    for (size_t s = 0; s < gap.records.size(); ++s) {
      reported_drops_[cause][s] += gap.records[s];
    }
  }
  SegmentCursor cursor = writer_->cursor();
  cursor.segment_open_time_ns = segment_open_time_ns_;
  cursor.reported_drops = reported_drops_;
  published_position_ = summary_.end_position;
  ring_->PublishCursor(published_position_, EncodeSegmentCursor(cursor));
}

void HandMadeProcess::Release() {
  ring_->Release();
  lines_.clear();
  gaps_.clear();
  FrameSummary next;
  next.first_position = next.end_position = summary_.end_position;
  summary_ = next;
}

void HandMadeProcess::Flush() {
  TakeAndWrite();
  Publish();
  Release();
}

void HandMadeProcess::EndSegment() {
  ASSERT_TRUE(writer_->AddEnd().ok());
  ASSERT_TRUE(writer_->Write().ok());
  writer_.reset();
}

void HandMadeProcess::BeginSegment() {
  SegmentIdentity identity;
  identity.ring_id = RingIdOf(ring_->header());
  identity.number = segment_paths_.size() + 1;
  identity.format = options_.format;
  segment_open_time_ns_ =
      kTestTimeNs + static_cast<int64_t>(identity.number) * 1000000000;
  segment_paths_.push_back(
      absl::StrCat(directory_, "/",
                   SegmentFileName(ring_->header(), identity.number,
                                   segment_open_time_ns_, options_.format)));
  // As the flusher does: no segment is there that the ring has not named.
  SegmentCursor cursor;
  cursor.segment_number = identity.number;
  cursor.segment_open_time_ns = segment_open_time_ns_;
  cursor.format = options_.format;
  cursor.reported_drops = reported_drops_;
  ring_->PublishCursor(published_position_, EncodeSegmentCursor(cursor));
  SegmentWriterOptions writer;
  writer.frame_bytes = options_.frame_bytes;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> created =
      SegmentWriter::Create(segment_paths_.back(), identity, writer);
  ASSERT_TRUE(created.ok()) << created.status();
  writer_ = *std::move(created);
}

}  // namespace ringlog
