// The end of a segment whose process died, looked at before anything is done to
// it.

#ifndef RINGLOG_COMPRESS_SEGMENT_TAIL_H_
#define RINGLOG_COMPRESS_SEGMENT_TAIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment_file.h"
#include "ringlog/compress/segment_format.h"

namespace ringlog {

// What is needed to go on with the segment at a cursor.
struct SegmentTail {
  std::vector<SeekEntry> seek_entries;  // of the frames before the cut
  uint64_t text_bytes = 0;              // of those frames
  bool has_open_frame = false;
  // What makes a frame of the one that is open, right behind the cut: an empty
  // last block and the checksum.
  std::string frame_end;
  // Its metadata. `compressed_bytes` counts frame_end.
  FrameMetadata open_frame;
};

// Reads `file` as far as `cursor` says that it is good. Every frame before the
// open one must have headers that lead to the next, and metadata that name
// `identity`; of the open one, every block must be whole, and its text as long
// as the cursor says. What is not read is the content of the frames before: a
// record damaged there is not saved by giving up those that follow.
//   InvalidArgument: `cursor` is not one of `identity`
//   DataLoss:        the file is another one, or too short, or damaged
//   Internal:        zstd has no memory
//   others:          those of read(2)
absl::StatusOr<SegmentTail> ExamineTail(const SegmentFile& file,
                                        const SegmentIdentity& identity,
                                        const SegmentCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_TAIL_H_
