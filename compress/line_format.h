// A record as the line that a segment holds: text in glog's shape, or a JSON
// object. compress/FORMAT.md describes both.
//
// Both are exact: ParseLines gives back the text byte for byte, whatever bytes
// it has. Both are unforgeable: no text can look like the beginning of another
// record, for every line break in it is marked.

#ifndef RINGLOG_COMPRESS_LINE_FORMAT_H_
#define RINGLOG_COMPRESS_LINE_FORMAT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// These values are frozen in the segment format.
enum class LineFormat : uint8_t {
  kText = 0,  // I20261123 02:03:04.123456 12345 file.cc:42] text     (UTC;
              // continuation lines begin with a tab)
  kJson =
      1,  // {"time":"2026-11-23T02:03:04.123456789Z","severity":"INFO",...,"position":17}
};

inline constexpr uint64_t kNoPosition = ~uint64_t{0};

// Appends the record to `out`, its last line break included. `position` goes
// into JSON, if it is not kNoPosition.
void AppendRecord(LineFormat format, const Record& record, uint64_t position,
                  std::string* out);

// The same for a gap. In text it is a line of severity W from "ringlog:0";
// `time_ns` is when the gap was found.
void AppendGap(LineFormat format, const Gap& gap, int64_t time_ns,
               std::string* out);

// What a record's lines say. Strings, as the text has to be put together from
// them.
struct ParsedRecord {
  Record record;  // views into `file` and `text`
  std::string file;
  std::string text;
  uint64_t position = kNoPosition;
  bool is_gap = false;  // `text` is then a JSON gap's description
};

// `lines` is one record in `format` with its line breaks, as SegmentReader
// finds it. False if it is not one.
bool ParseLines(LineFormat format, absl::string_view lines, ParsedRecord* out);

// The length of the first record in `text`, its line breaks included; 0 if it
// may not be complete: the next line, which could go on with it, has not been
// seen. With `at_end`, what is there is all that there is.
size_t FirstRecordBytes(LineFormat format, absl::string_view text, bool at_end);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_FORMAT_H_
