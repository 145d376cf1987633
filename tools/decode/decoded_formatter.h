// Formats decoded records as lines.

#ifndef RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_
#define RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

// Thread-compatible.
class DecodedFormatter {
 public:
  explicit DecodedFormatter(LineFormat format)
      : format_(format), formatter_(format) {}

  // Appends the record or gap to `out` as lines, with the last line break. If
  // its segment has the same format, appends the segment's bytes. In JSON, a
  // line that is not IsJsonObjectLine() becomes the text of a record, because a
  // segment may be forged.
  void Append(const DecodedRecord& decoded, std::string* out);

  // Appends lines of DecodeSink::on_lines to `out`, as Append() does.
  void AppendLines(absl::string_view lines, std::string* out);

 private:
  void RememberTime(absl::string_view line);
  void AppendAsText(absl::string_view line, std::string* out);

  LineFormat format_;
  LineFormatter formatter_;
  // Time of the last line of AppendLines(), for a line without one.
  int64_t last_time_ns_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_
