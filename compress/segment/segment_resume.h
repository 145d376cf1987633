// Resuming a segment whose process died: reads and checks the segment before
// SegmentWriter::Reopen changes it.
//
// The functions are thread-safe for different segments.

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

// The state that a writer needs to resume a segment at a cursor.
struct ResumeState {
  // Seek table entries of the frames before the open frame.
  std::vector<SeekEntry> seek_entries;
  // Text bytes of those frames.
  uint64_t text_bytes = 0;
  bool has_open_frame = false;
  // Bytes that complete the open frame at cursor.segment_bytes: an empty last
  // block and the checksum.
  std::string frame_end;
  // Metadata of the open frame. `compressed_bytes` includes frame_end.
  FrameMetadata open_frame;
};

// Reads `file` up to cursor.segment_bytes and returns the state to resume
// there. Checks the following:
//  - The headers of each frame before the open frame lead to the next one.
//  - The metadata frame of each such frame names `identity`.
//  - The bytes of the open frame match the checksum in `cursor`.
// Does not check the content of the frames before the open frame, because
// rejecting the segment would not restore a damaged record.
//   InvalidArgument: `cursor` does not belong to `identity`
//   DataLoss:        the file belongs to another segment, is too short, or is
//                    damaged
//   Internal:        zstd is out of memory
//   others:          those of read(2)
absl::StatusOr<ResumeState> PrepareResume(const SegmentFile& file,
                                          const SegmentIdentity& identity,
                                          const SegmentCursor& cursor);

// Returns OK if the open frame in the segment `file` matches the checksum in
// `cursor`, or if `cursor` has no open frame.
//   DataLoss: the bytes do not match, or the file is too short
//   others:   those of read(2)
absl::Status CheckOpenFrame(const SegmentFile& file,
                            const SegmentCursor& cursor);

// Completes the last frame of the segment `file`, for which PrepareResume()
// returned DataLoss, so that readers accept only the bytes that are known to be
// correct:
//  1. Sets the file size to cursor.segment_bytes.
//  2. If a frame is open there, writes its end. If the open frame is damaged,
//     its checksum becomes 0, so that it does not match.
//  3. Writes the metadata of that frame, with its positions.
//  4. Syncs the file.
// Repeating the call after a kill gives the same bytes. Leaves the file
// unchanged if it belongs to another ring, or if it is more than 64 MiB shorter
// than cursor.segment_bytes.
// Requires: `file` is open for reading and writing, and no other process writes
// to it. Errors are those of read(2), write(2), ftruncate(2) and fdatasync(2),
// and ResourceExhausted: no memory. After an error of reading the open frame,
// the file is unchanged.
absl::Status EndDamagedSegment(SegmentFile* file,
                               const SegmentIdentity& identity,
                               const SegmentCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_RESUME_H_
