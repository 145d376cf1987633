// BatchBuilder
//
// Records and gaps, in order of position -> a batch for SegmentWriter. The
// flusher builds batches from a live ring, recovery from a dead one.
//
// Thread-compatible.

#ifndef RINGLOG_COMPRESS_SEGMENT_BATCH_BUILDER_H_
#define RINGLOG_COMPRESS_SEGMENT_BATCH_BUILDER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/recent_lines.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"

namespace ringlog {

class BatchBuilder {
 public:
  // The first batch begins at `first_position`. What is added goes to `recent`
  // too, if that is not null; it must outlive the builder.
  BatchBuilder(LineFormat format, uint64_t first_position,
               RecentLines* recent = nullptr);

  // The record in the slots [position, position + slot_count). One whose head
  // is not a record's becomes a gap.
  void AddRecord(uint64_t position, uint32_t slot_count, absl::string_view head,
                 absl::string_view body);

  // A gap, found at `time_ns` (Unix time).
  void AddGap(const Gap& gap, int64_t time_ns);

  // The batch goes up to `end_position`, whether or not there was anything
  // right before it.
  void SetEnd(uint64_t end_position);

  bool empty() const { return lines_.empty(); }
  size_t text_bytes() const { return lines_.size(); }
  // Of the earliest record; 0 if there is none.
  int64_t min_time_ns() const { return summary_.min_time_ns; }
  uint64_t end_position() const { return summary_.end_position; }
  // Of that severity or above.
  bool has_record_of(int severity) const {
    return std::any_of(summary_.records.begin() + severity,
                       summary_.records.end(),
                       [](uint64_t count) { return count != 0; });
  }

  // Refers to this builder, until it is changed.
  SegmentWriter::Batch batch() const;

  // Begins the next batch, where this one ended.
  void Clear();

 private:
  // Of the lines from `begin` on, which have been added.
  void Remember(size_t begin);

  RecentLines* const recent_;
  LineFormatter formatter_;
  std::string lines_;
  FrameSummary summary_;
  std::vector<Gap> gaps_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_BATCH_BUILDER_H_
