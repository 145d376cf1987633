// Source
//
// The records of one ring: its segments, then the ring. Or of one zstd file of
// somebody else's.

#ifndef RINGLOG_TOOLS_DECODE_SOURCE_H_
#define RINGLOG_TOOLS_DECODE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

// What there is to know of segments beside records: called by Next(), with the
// segment's index in the plan. Both have to be set.
struct SegmentListener {
  // The frame whose records came since the last is complete. Not `is_whole`: it
  // is damaged, or something before it is.
  std::function<void(size_t segment, const FrameMetadata&, bool is_whole)>
      on_frame;
  std::function<void(size_t segment, const SegmentReader&)> on_end;
};

// Thread-compatible. `plan` and `report` must outlive it, and a listener, if
// there is one.
class Source {
 public:
  // With `bulk_format`, records of segments in that format come many at a time
  // where nobody here needs to look at each; record() is of no use then.
  Source(const SourcePlan* plan, Report* report,
         std::optional<LineFormat> bulk_format = std::nullopt,
         const SegmentListener* listener = nullptr)
      : plan_(plan),
        report_(report),
        bulk_format_(bulk_format),
        listener_(listener) {}

  // Goes to the next record, or records; false if there is none. What is not a
  // record is reported on the way.
  bool Next();

  // The record as its segment has it; empty if it is from the ring.
  absl::string_view lines() const { return lines_; }
  // lines() are whole lines in lines_format(): a SegmentWriter wrote them.
  bool lines_are_ours() const {
    return !lines_.empty() && reader_->first_metadata() != nullptr;
  }
  // Of lines().
  LineFormat lines_format() const { return lines_format_; }

  // The record, understood. Valid until the next Next().
  const DecodedRecord& record();

 private:
  bool NextInSegments();
  bool NextInRing();
  bool OpenSegment();
  bool overlaps() const {
    return plan_->ring != nullptr && plan_->ring->overlaps_segments;
  }
  void LookAtOpen();
  void LookAtOpenRecord(absl::string_view lines);
  void TakeMetadata(const FrameMetadata& metadata);
  void LookForHole(const FrameMetadata& metadata);
  void LookForEnd();
  void ReportSkipped(bool at_end);
  void CloseSegment();
  void ParseSegmentLines();
  size_t FirstBehindSegments() const;

  const SourcePlan* plan_;
  Report* report_;
  std::optional<LineFormat> bulk_format_;
  const SegmentListener* listener_;

  size_t segment_ = 0;  // of plan_->segments
  std::unique_ptr<SegmentReader> reader_;
  bool in_bulk_ = false;
  size_t skipped_reported_ = 0;
  std::optional<uint64_t> cut_at_;  // the segment has a limit, and ends before
  // Since the last metadata, or the beginning of the segment: gaps by which
  // records are missing, and, if the ring overlaps, how many records and the
  // last of them.
  uint64_t open_losses_ = 0;
  uint64_t open_records_ = 0;
  std::string last_open_record_;
  // Of the last metadata: where the next have to go on.
  uint64_t segments_end_position_ = 0;
  uint64_t segments_end_number_ = 0;
  // How much of reader_->skipped() was before them. What is missing behind them
  // has been told of, if there is more, or if it was a segment's end.
  size_t skipped_before_ = 0;
  bool is_hole_known_ = false;
  // The segment ended behind a frame, and was not closed: whether that was all
  // is not known before the next one.
  bool is_end_missing_ = false;

  size_t ring_record_ = 0;
  bool ring_begun_ = false;

  absl::string_view lines_;
  LineFormat lines_format_ = LineFormat::kText;
  bool is_parsed_ = false;
  ParsedRecord parsed_;
  DecodedRecord current_;
  int64_t last_time_ns_ = 0;  // for lines that tell no time
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_SOURCE_H_
