// The results of decoding, and the callbacks that receive them.

#ifndef RINGLOG_TOOLS_DECODE_DECODE_SINK_H_
#define RINGLOG_TOOLS_DECODE_DECODE_SINK_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// The kind of file that has the record.
enum class Origin { kSegment, kRing };

struct DecodedRecord {
  Record record;  // views that are valid during the call
  uint64_t position = kNoPosition;
  Origin origin = Origin::kSegment;
  // Set if the line reports a gap: `record` then has only the time and a text
  // that describes the gap. nullptr for a record.
  const Gap* gap = nullptr;
  // The record's lines in its segment, with line breaks; empty for a record
  // from a ring.
  absl::string_view lines;
  LineFormat lines_format = LineFormat::kText;
  // False if the lines are not a record's: `record` then has them as text.
  bool is_record = false;
  // True if the segment's metadata shows that a SegmentWriter wrote the lines;
  // otherwise they may be anything.
  bool lines_are_ours = false;
  const std::string* path = nullptr;  // the file that has the record
};

// Callbacks. on_record is required; the others may be unset.
struct DecodeSink {
  // Receives a record; returns false to end the decoding. A line of a foreign
  // zstd file that is not a record becomes an INFO record with only a text.
  std::function<bool(const DecodedRecord&)> on_record;
  // If set, receives the records of segments in `lines_format` instead of
  // on_record, as lines, many at a time. Used only if there is a single source,
  // because merging needs the times. Returns false to end the decoding.
  std::function<bool(absl::string_view lines)> on_lines;
  LineFormat lines_format = LineFormat::kText;

  // Receives a gap in a ring. Gaps in segments are among the lines.
  std::function<void(const std::string& path, const Gap&)> on_gap;
  // Receives damage: "[begin..end): cause" for unusable bytes, or a fault of a
  // ring.
  std::function<void(const std::string& path, absl::string_view message)>
      on_damage;
  // Receives a note about an input that lost nothing.
  std::function<void(const std::string& path, absl::string_view message)>
      on_note;
  // Receives an input that could not be read.
  std::function<void(const std::string& path, const absl::Status&)> on_unusable;
};

// The totals of one decoding.
struct DecodeResult {
  // Records delivered to on_record.
  uint64_t segment_records = 0;
  uint64_t ring_records = 0;
  // Gaps that cost an acknowledged record, in rings and in segments, and
  // damage.
  uint64_t losses = 0;
  uint64_t unusable = 0;  // inputs that could not be read

  // The exit status of `ringlog`: 0 complete, 1 gaps or damage, 2 unusable
  // input.
  int exit_status() const { return unusable != 0 ? 2 : losses != 0 ? 1 : 0; }
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODE_SINK_H_
