// Whether a segment's seek table says what its frames are. Nothing of ours
// needs the table; other programs go by it.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEEK_TABLE_H_
#define RINGLOG_COMPRESS_SEGMENT_SEEK_TABLE_H_

#include <string>

#include "absl/status/status.h"

namespace ringlog {

// Compares every entry of the table at the end of `path` with the frame that it
// is of, as the frames' headers have them; the length of a frame's text with
// what its metadata say, where they are whole. In bounded memory.
//   NotFound:           the file does not end with a seek table
//   DataLoss:           an entry is wrong, or there are too few or too many
//   FailedPrecondition: the frames are damaged, so that no more than the first
//                       entries could be compared; those are right
//   others:             those of open(2) and read(2), with the path
absl::Status CheckSeekTable(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEEK_TABLE_H_
