// What the lines of a record say.

#ifndef RINGLOG_COMPRESS_LINE_PARSED_RECORD_H_
#define RINGLOG_COMPRESS_LINE_PARSED_RECORD_H_

#include <cstdint>
#include <string>

#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

inline constexpr uint64_t kNoPosition = ~uint64_t{0};

// Strings, as the text has to be put together from the lines. What a format
// does not hold has its default: in text, the nanoseconds below the
// microsecond, the directory of the file, verbosity, kind and position.
struct ParsedRecord {
  Record record;  // views into `file` and `text`
  std::string file;
  std::string text;
  uint64_t position = kNoPosition;
  bool is_gap = false;  // `text` is then the gap's description
  Gap gap;              // if is_gap

  ParsedRecord() = default;
  ParsedRecord(const ParsedRecord&) = delete;  // for the views
  ParsedRecord& operator=(const ParsedRecord&) = delete;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_PARSED_RECORD_H_
