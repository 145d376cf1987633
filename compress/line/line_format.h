// The two formats of a record in a segment: text lines like glog's, or one JSON
// object in a line. compress/FORMAT.md describes both.
//
// Guarantees for both formats:
//  - Exact: ParseLines returns the text of the record byte for byte, whatever
//    bytes it has.
//  - Unforgeable: no text and no file name can look like the beginning of
//    another record, because every line break in the text is marked (text) or
//    escaped (JSON).
//
// The functions are thread-safe.

#ifndef RINGLOG_COMPRESS_LINE_LINE_FORMAT_H_
#define RINGLOG_COMPRESS_LINE_LINE_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// Formats records and gaps as lines. Caches the formatted second of the last
// line, because the next line is usually in the same second.
//
// Thread-compatible.
class LineFormatter {
 public:
  explicit LineFormatter(LineFormat format) : format_(format) {}

  // Appends the lines of `record` to `out`, with the last line break. JSON
  // lines include `position` unless it is kNoPosition; text lines never do.
  void AppendRecord(const Record& record, uint64_t position, std::string* out);

  // Appends the lines of `gap` to `out`, with the last line break. `time_ns` is
  // the Unix time at which the gap was found. In text, a gap is a line of
  // severity W from "ringlog:0" with a sentence, and a second line with all its
  // fields.
  void AppendGap(const Gap& gap, int64_t time_ns, std::string* out);

 private:
  void AppendTextHead(char severity, int64_t time_ns, int64_t tid,
                      std::string* out);
  void AppendJsonHead(int64_t time_ns, absl::string_view severity,
                      std::string* out);
  // Formats the second of `time_ns` into date_ and returns the nanoseconds
  // after that second.
  uint32_t SplitTime(int64_t time_ns);

  LineFormat format_;
  // Unix second that date_ shows.
  int64_t second_ = std::numeric_limits<int64_t>::min();
  // "20261123 02:03:04" or "2026-11-23T02:03:04", without a terminator.
  char date_[20] = {};
};

// Append the lines of one record or gap, like a new LineFormatter. A caller
// with many records is faster with a LineFormatter of its own.
void AppendRecord(LineFormat format, const Record& record, uint64_t position,
                  std::string* out);
void AppendGap(LineFormat format, const Gap& gap, int64_t time_ns,
               std::string* out);

// Parses the lines of one record or gap, with all their line breaks, and
// replaces `out`. Returns false if `lines` is not exactly one record or gap in
// `format`; `out` is then unspecified.
bool ParseLines(LineFormat format, absl::string_view lines, ParsedRecord* out);

// Returns the length in bytes of the first record in `text`, with its line
// breaks. Returns 0 if the record may be incomplete. In text format a record is
// complete only if the first byte of the next line is in `text`, because that
// line could continue the record. If `at_end`, no bytes follow `text`, so its
// last record is complete.
size_t FirstRecordBytes(LineFormat format, absl::string_view text, bool at_end);

// Returns the length in bytes of all complete records at the beginning of
// `text`. In text format the last record in `text` is not complete, because the
// next line could continue it.
size_t CompleteRecordsBytes(LineFormat format, absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_LINE_FORMAT_H_
