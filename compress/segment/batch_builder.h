// BatchBuilder
//
// Builds a batch for SegmentWriter from records and gaps, in order of position.
// The flusher builds batches from a live ring, recovery from a leftover ring.
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
  // The first batch begins at `first_position`. Adds the lines to `recent`,
  // too, if it is not null; `recent` must outlive the builder.
  BatchBuilder(LineFormat format, uint64_t first_position,
               RecentLines* recent = nullptr);

  // Adds the record in the slots [position, position + slot_count). If `head`
  // is not the head of a record, adds a gap (kMissing) instead.
  void AddRecord(uint64_t position, uint32_t slot_count, absl::string_view head,
                 absl::string_view body);

  // Adds a gap that was found at the Unix time `time_ns`.
  void AddGap(const Gap& gap, int64_t time_ns);

  // Extends the batch up to `end_position`, also if the last positions have
  // neither a record nor a gap.
  void SetEnd(uint64_t end_position);

  bool empty() const { return lines_.empty(); }
  size_t text_bytes() const { return lines_.size(); }
  // Unix time of the earliest record; 0 if there is none.
  int64_t min_time_ns() const { return summary_.min_time_ns; }
  uint64_t end_position() const { return summary_.end_position; }
  // Returns true if the batch has a record of `severity` or above.
  bool has_record_of(int severity) const {
    return std::any_of(summary_.records.begin() + severity,
                       summary_.records.end(),
                       [](uint64_t count) { return count != 0; });
  }

  // Returns the batch. It refers to this builder and is valid until the builder
  // changes.
  SegmentWriter::Batch batch() const;

  // Begins the next batch at the end of this one.
  void Clear();

 private:
  void ReserveFor(size_t text_bytes);
  // Adds the lines from `begin` on to recent_.
  void AddToRecent(size_t begin);

  RecentLines* const recent_;
  LineFormatter formatter_;
  std::string lines_;
  FrameSummary summary_;
  std::vector<Gap> gaps_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_BATCH_BUILDER_H_
