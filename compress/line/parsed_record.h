// A record or gap that was parsed from its lines.

#ifndef RINGLOG_COMPRESS_LINE_PARSED_RECORD_H_
#define RINGLOG_COMPRESS_LINE_PARSED_RECORD_H_

#include <cstdint>
#include <string>

#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// The position of a record whose lines have none.
inline constexpr uint64_t kNoPosition = ~uint64_t{0};

// A parsed record or gap. A field that the line format does not store has its
// default value. The text format does not store the nanoseconds below a
// microsecond, the directory of the file, the verbosity, the kind and the
// position.
//
// Thread-compatible.
struct ParsedRecord {
  // The fields of the record. `record.file` and `record.text` are views into
  // `file` and `text` below.
  Record record;
  // Source file name.
  std::string file;
  // Text of the record, or the description of the gap.
  std::string text;
  // Ring position of the record.
  uint64_t position = kNoPosition;
  bool is_gap = false;
  // The gap. Valid only if is_gap.
  Gap gap;

  ParsedRecord() = default;
  // Not copyable, because the views in the copy would refer to the strings of
  // the original.
  ParsedRecord(const ParsedRecord&) = delete;
  ParsedRecord& operator=(const ParsedRecord&) = delete;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_PARSED_RECORD_H_
