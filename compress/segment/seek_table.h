// The seek table of a segment. ringlog does not use its entries; other programs
// do.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEEK_TABLE_H_
#define RINGLOG_COMPRESS_SEGMENT_SEEK_TABLE_H_

#include <string>

#include "absl/status/status.h"
#include "ringlog/compress/segment/segment_file.h"

namespace ringlog {

// Compares each entry of the table at the end of `path` with its frame: the
// compressed size with the frame's headers, and the size of the text with the
// metadata frame, if that is intact. Uses bounded memory.
//   NotFound:           the file does not end with a seek table
//   DataLoss:           an entry is wrong, missing or superfluous
//   FailedPrecondition: a frame is damaged; the entries before it are right,
//   and
//                       the others could not be compared
//   others:             those of open(2) and pread(2), with the path
absl::Status CheckSeekTable(const std::string& path);

// Returns true if `file` ended with a seek table when it was opened: if the
// segment is closed. Reads some bytes of it.
bool HasSeekTable(const SegmentFile& file);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEEK_TABLE_H_
