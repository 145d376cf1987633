// DataRanges
//
// Finds the parts of a file that have data, and so skips a hole in one step. A
// hole reads as zeros, and a file of a few bytes on disk may have terabytes of
// them.

#ifndef RINGLOG_COMPRESS_SEGMENT_DATA_RANGES_H_
#define RINGLOG_COMPRESS_SEGMENT_DATA_RANGES_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace ringlog {

// Bytes of a file from offset `begin` to `end`, exclusive.
struct FileRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Thread-compatible. All calls must be for the same file.
//
// If a file system does not report its holes, or reports one where a byte is
// not zero, the whole file counts as data. Some versions of ZFS do the latter
// for bytes that were just written.
class DataRanges {
 public:
  // Returns the descriptor of the open file, or -1 if it is another file's by
  // now: lseek(2) would move that file's offset. Called before system calls.
  using Fd = absl::FunctionRef<int()>;

  // Returns the first data of the file at or after `offset`, up to `limit`.
  // Returns an empty range at `limit` if there is none. Remembers the last
  // result, so that asking for each offset of it takes few system calls.
  // Requires: offset <= limit.
  FileRange Next(Fd fd, uint64_t offset, uint64_t limit);

  // Returns the end of the last data before `limit`; `limit` itself if the byte
  // before it is data. Takes a number of system calls in proportion to the
  // logarithm of `limit`.
  uint64_t LastEnd(Fd fd, uint64_t limit);

 private:
  bool is_unreliable_ = false;
  // No data is between known_from_ and the begin of known_.
  uint64_t known_from_ = 0;
  FileRange known_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_DATA_RANGES_H_
