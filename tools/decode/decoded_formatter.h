// What was decoded, as lines again.

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

  // Appends what was decoded to `out` as lines in the format, the last line
  // break included: byte for byte those of the segment, if it has that format.
  // What another program's file has instead of JSON becomes a record's text.
  void Append(const DecodedRecord& decoded, std::string* out);

 private:
  LineFormat format_;
  LineFormatter formatter_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODED_FORMATTER_H_
