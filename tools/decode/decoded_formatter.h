// Formats decoded records as lines.

#ifndef RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_
#define RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_

#include <string>

#include "ringlog/compress/line/line_format.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

// Thread-compatible.
class DecodedFormatter {
 public:
  explicit DecodedFormatter(LineFormat format)
      : format_(format), formatter_(format) {}

  // Appends the record or gap to `out` as lines, with the last line break. If
  // its segment has the same format, appends the segment's bytes. A line of
  // another program's file that is not JSON becomes the text of a record.
  void Append(const DecodedRecord& decoded, std::string* out);

 private:
  LineFormat format_;
  LineFormatter formatter_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_
