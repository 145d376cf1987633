// What decoding gives, and to whom.

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

// Where a record was found.
enum class Origin { kSegment, kRing };

struct DecodedRecord {
  Record record;  // views, valid during the call
  uint64_t position = kNoPosition;
  Origin origin = Origin::kSegment;
  // Set if the segment tells here of a gap, not of a record: `record` then has
  // only the time and a text that describes it.
  const Gap* gap = nullptr;
  // The record as its segment has it, line breaks included; empty if it is from
  // a ring.
  absl::string_view lines;
  LineFormat lines_format = LineFormat::kText;
  // False if it is lines that are no record's: `record` then has them as text.
  bool is_record = false;
  // The segment's metadata say that a SegmentWriter wrote it; else the lines
  // may be anything.
  bool lines_are_ours = false;
  const std::string* path = nullptr;
};

// Who gets what is found. Functions that are not set are not called, but for
// on_record, which is needed.
struct DecodeSink {
  // False ends the decoding. A line of a foreign zstd file that is no record
  // becomes one of severity INFO that has only a text.
  std::function<bool(const DecodedRecord&)> on_record;
  // If set: gets records of our segments in `lines_format` instead of
  // on_record, where they need not be understood (there is one source), as
  // their lines, many at a time. False ends the decoding.
  std::function<bool(absl::string_view lines)> on_lines;
  LineFormat lines_format = LineFormat::kText;

  // Gaps of rings. Those that segments tell of are among their lines.
  std::function<void(const std::string& path, const Gap&)> on_gap;
  // Bytes that could not be used: "[begin..end): why"; or what is wrong with a
  // ring.
  std::function<void(const std::string& path, absl::string_view message)>
      on_damage;
  // Worth knowing, but nothing is lost by it.
  std::function<void(const std::string& path, absl::string_view message)>
      on_note;
  // An input that could not be read at all.
  std::function<void(const std::string& path, const absl::Status&)> on_unusable;
};

// What `paths` led to.
struct DecodeResult {
  // Given to on_record.
  uint64_t segment_records = 0;
  uint64_t ring_records = 0;
  uint64_t losses = 0;    // gaps by which an acknowledged record is missing,
                          // those told of by segments too, and damage
  uint64_t unusable = 0;  // inputs

  // The exit status of `ringlog`: 0 complete, 1 gaps or damage, 2 unusable
  // input.
  int exit_status() const { return unusable != 0 ? 2 : losses != 0 ? 1 : 0; }
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODE_SINK_H_
