#include "ringlog/compress/segment/batch_builder.h"

#include <algorithm>

#include "ringlog/ring/record.h"

namespace ringlog {

BatchBuilder::BatchBuilder(LineFormat format, uint64_t first_position,
                           RecentLines* recent)
    : recent_(recent), formatter_(format) {
  summary_.first_position = summary_.end_position = first_position;
}

void BatchBuilder::AddRecord(uint64_t position, uint32_t slot_count,
                             absl::string_view head, absl::string_view body) {
  Record record;
  if (!DecodeRecord(head, body, &record)) {
    Gap gap;
    gap.cause = GapCause::kMissing;
    gap.first_position = position;
    gap.end_position = position + slot_count;
    AddGap(gap, summary_.max_time_ns);
    return;
  }
  const size_t begin = lines_.size();
  ReserveFor(record.text.size());
  formatter_.AppendRecord(record, position, &lines_);
  AddToRecent(begin);
  FrameSummary one;
  one.first_position = summary_.end_position;
  one.end_position = position + slot_count;
  one.records[static_cast<size_t>(record.severity)] = 1;
  one.min_time_ns = one.max_time_ns = record.time_ns;
  summary_.Add(one);
}

// Makes room for a long text at once: growth in steps takes several times as
// much memory.
void BatchBuilder::ReserveFor(size_t text_bytes) {
  constexpr size_t kLongText = 64 << 10;
  constexpr size_t kMaxRoom = 8 << 20;
  constexpr size_t kMaxLineBytesPerByte = 6;  // "\u0001"
  if (text_bytes < kLongText) return;
  const size_t room =
      std::min(kMaxRoom, kMaxLineBytesPerByte * text_bytes + kLongText);
  if (lines_.capacity() - lines_.size() < room) {
    lines_.reserve(lines_.size() + room);
  }
}

void BatchBuilder::AddGap(const Gap& gap, int64_t time_ns) {
  const size_t begin = lines_.size();
  formatter_.AppendGap(gap, time_ns, &lines_);
  AddToRecent(begin);
  gaps_.push_back(gap);
  SetEnd(gap.end_position);
}

void BatchBuilder::AddToRecent(size_t begin) {
  if (recent_ == nullptr) return;
  recent_->Add(absl::string_view(lines_).substr(begin));
}

void BatchBuilder::SetEnd(uint64_t end_position) {
  summary_.end_position = std::max(summary_.end_position, end_position);
}

SegmentWriter::Batch BatchBuilder::batch() const {
  SegmentWriter::Batch batch;
  batch.lines = lines_;
  batch.summary = summary_;
  batch.summary.text_bytes = lines_.size();
  batch.gaps = gaps_;
  return batch;
}

void BatchBuilder::Clear() {
  const uint64_t end = summary_.end_position;
  lines_.clear();
  gaps_.clear();
  summary_ = FrameSummary();
  summary_.first_position = summary_.end_position = end;
}

}  // namespace ringlog
