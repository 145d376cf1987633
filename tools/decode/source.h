// Source
//
// Reads the records of one ring: its segments, then the ring itself. A foreign
// zstd file is a source too.

#ifndef RINGLOG_TOOLS_DECODE_SOURCE_H_
#define RINGLOG_TOOLS_DECODE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

// Callbacks for facts about segments in addition to their records.
// Source::Next() calls them with the segment's index in the plan. Both must be
// set.
struct SegmentListener {
  // The frame with the records since the last call is complete. !is_intact:
  // that frame, or bytes before it, are damaged.
  std::function<void(size_t segment, const FrameMetadata&, bool is_intact)>
      on_frame;
  // The segment is read to its end.
  std::function<void(size_t segment, const SegmentReader&)> on_end;
};

// Thread-compatible. `plan`, `report` and `listener` must outlive it.
class Source {
 public:
  // With `bulk_format`, Next() may move over many records of a segment in that
  // format at once. record() must not be called then.
  Source(const SourcePlan* plan, Report* report,
         std::optional<LineFormat> bulk_format = std::nullopt,
         const SegmentListener* listener = nullptr)
      : plan_(plan),
        report_(report),
        bulk_format_(bulk_format),
        listener_(listener) {}
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Reads files that zstd made with --ultra or --long, too. For a caller that
  // reads one source at a time: each needs up to 128 MiB instead of 8 MiB.
  // Requires: Next() was not called.
  void PermitLargeWindows() { permits_large_windows_ = true; }

  // Moves to the next record or records; returns false at the end. Reports gaps
  // and damage on the way.
  bool Next();

  // Returns the lines of the record or records; empty for one from the ring.
  absl::string_view lines() const { return lines_; }
  // Returns true if a SegmentWriter wrote lines(): complete lines in
  // lines_format().
  bool lines_are_ours() const {
    return !lines_.empty() && reader_->first_metadata() != nullptr;
  }
  LineFormat lines_format() const { return lines_format_; }

  // Returns the parsed record. Valid until the next call of Next().
  const DecodedRecord& record();

 private:
  bool NextInSegments();
  void BeginRing();
  bool NextInRing();
  RingRecovery::Item NextRingItem();
  bool TakeRingRecord(const RecoveredRecord& found);
  void ReportRingGap(Gap gap);
  bool OpenSegment();
  bool overlaps() const {
    return plan_->ring != nullptr && plan_->ring->overlaps_segments;
  }
  void NoteOpenRecords();
  void NoteOpenRecord(absl::string_view lines);
  void TakeMetadata(const FrameMetadata& metadata);
  void ReportHole(const FrameMetadata& metadata);
  void ReportMissingEnd();
  void ReportSkipped(bool at_end);
  void CloseSegment();
  void ParseSegmentLines();
  uint64_t RecordsInSegments();

  const SourcePlan* plan_;
  Report* report_;
  std::optional<LineFormat> bulk_format_;
  const SegmentListener* listener_;

  bool permits_large_windows_ = false;
  size_t segment_ = 0;  // index in plan_->segments
  std::unique_ptr<SegmentReader> reader_;
  bool in_bulk_ = false;
  size_t skipped_reported_ = 0;
  std::optional<uint64_t> cut_at_;  // where a segment ends before its limit
  // Since the last metadata, or the beginning of the segment: number of gaps
  // that cost records; if the ring overlaps, also the number of records and the
  // last record.
  uint64_t open_losses_ = 0;
  uint64_t open_records_ = 0;
  std::string last_open_record_;
  // End position and segment number of the last metadata.
  uint64_t segments_end_position_ = 0;
  uint64_t segments_end_number_ = 0;
  // Number of regions in reader_->skipped() before the last metadata.
  size_t skipped_before_ = 0;
  // True if damage after the last metadata has been reported already.
  bool is_hole_known_ = false;
  // True if the last segment ended after a frame without being closed. The next
  // metadata shows whether records are missing.
  bool is_end_missing_ = false;

  bool ring_begun_ = false;
  bool ring_ended_ = false;
  // Number of next records of the ring that the segments have.
  uint64_t ring_records_to_skip_ = 0;

  absl::string_view lines_;
  LineFormat lines_format_ = LineFormat::kText;
  bool is_parsed_ = false;
  ParsedRecord parsed_;
  DecodedRecord current_;
  int64_t last_time_ns_ = 0;  // the time for lines without a time
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_SOURCE_H_
