// A record as the lines that a segment holds: text in glog's shape, or a JSON
// object. compress/FORMAT.md describes both.
//
// Both are exact: ParseLines gives back the text byte for byte, whatever bytes
// it has. Both are unforgeable: no text and no file name can look like the
// beginning of another record, for every line break in it is marked.

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

// Makes lines of one format. It remembers the date and time of the last line,
// for those of the next line are mostly the same.
//
// Thread-compatible.
class LineFormatter {
 public:
  explicit LineFormatter(LineFormat format) : format_(format) {}

  // Appends the record to `out`, its last line break included. `position` goes
  // into JSON, if it is not kNoPosition.
  void AppendRecord(const Record& record, uint64_t position, std::string* out);

  // The same for a gap. In text it is a line of severity W from "ringlog:0",
  // and one with what the sentence leaves out; `time_ns` is when the gap was
  // found.
  void AppendGap(const Gap& gap, int64_t time_ns, std::string* out);

 private:
  void AppendTextHead(char severity, int64_t time_ns, int64_t tid,
                      std::string* out);
  void AppendJsonHead(int64_t time_ns, absl::string_view severity,
                      std::string* out);
  // The nanoseconds within the second of `time_ns`; date_ is then that
  // second's.
  uint32_t SplitTime(int64_t time_ns);

  LineFormat format_;
  int64_t second_ = std::numeric_limits<int64_t>::min();  // that date_ is of
  char date_[20] = {};  // "20261123 02:03:04" or "2026-11-23T02:03:04"
};

// The same for one record or gap, where nobody counts nanoseconds.
void AppendRecord(LineFormat format, const Record& record, uint64_t position,
                  std::string* out);
void AppendGap(LineFormat format, const Gap& gap, int64_t time_ns,
               std::string* out);

// `lines` is one record in `format` with its line breaks, as SegmentReader
// finds it. False if it is not one; `out` is then unspecified.
bool ParseLines(LineFormat format, absl::string_view lines, ParsedRecord* out);

// The length of the first record in `text`, its line breaks included; 0 if it
// may not be complete: the next line, which could go on with it, has not been
// seen. With `at_end`, what is there is all that there is.
size_t FirstRecordBytes(LineFormat format, absl::string_view text, bool at_end);

// The length of all records in `text` that are complete, in the same sense: a
// last record that is the end of `text` is not one of them.
size_t CompleteRecordsBytes(LineFormat format, absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_LINE_FORMAT_H_
