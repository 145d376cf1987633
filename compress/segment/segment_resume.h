// The end of a segment whose process died, looked at before anything is done to
// it.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_RESUME_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_RESUME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"

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
// `identity`; the open one must have the bytes that the cursor's checksum is
// of. What is not read is the content of the frames before: a record damaged
// there is not saved by giving up those that follow.
//   InvalidArgument: `cursor` is not one of `identity`
//   DataLoss:        the file is another one, or too short, or damaged
//   Internal:        zstd has no memory
//   others:          those of read(2)
absl::StatusOr<SegmentTail> PrepareResume(const SegmentFile& file,
                                          const SegmentIdentity& identity,
                                          const SegmentCursor& cursor);

// Whether the open frame's bytes in the segment at `path` are those that the
// cursor's checksum is of.
//   DataLoss: they are not, or not all there
//   others:   those of open(2) and read(2)
absl::Status CheckOpenFrame(const std::string& path,
                            const SegmentCursor& cursor);

// Ends a segment that PrepareResume() calls damaged, so that no reader believes
// more of it than is known to be right, and nothing of it is thrown away: the
// file gets the length that the cursor says; the frame that is open there gets
// its end, or, if it is damaged itself, an end whose checksum fits nothing; the
// metadata behind it name its positions. May be done again after a kill. A file
// that is another ring's, or has lost more than 64 MiB, stays as it is.
//   NotFound: no such file
//   others:   those of open(2), read(2), write(2), ftruncate(2) and
//             fdatasync(2)
absl::Status EndDamagedSegment(const std::string& path,
                               const SegmentIdentity& identity,
                               const SegmentCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_RESUME_H_
