// All that a SegmentReader gives, for tests.

#ifndef RINGLOG_COMPRESS_READ_RECORDS_H_
#define RINGLOG_COMPRESS_READ_RECORDS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/compress/segment_reader.h"

namespace ringlog {

// The records that are left, each with its line breaks.
inline std::vector<std::string> ReadRecords(SegmentReader* reader) {
  std::vector<std::string> records;
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = reader->Next(&lines)) != SegmentReader::Result::kEnd) {
    if (result == SegmentReader::Result::kRecord) records.emplace_back(lines);
  }
  return records;
}

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_READ_RECORDS_H_
