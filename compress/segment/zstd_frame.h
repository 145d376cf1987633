// Where zstd frames and their blocks end, as their headers say: without
// decompressing, and without the rest of the frame in memory.

#ifndef RINGLOG_COMPRESS_SEGMENT_ZSTD_FRAME_H_
#define RINGLOG_COMPRESS_SEGMENT_ZSTD_FRAME_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_file.h"

namespace ringlog {

// What zstd frames begin with.
inline constexpr uint32_t kZstdFrameMagic = 0xFD2FB528;

// Of skippable frames the low four bits are free.
constexpr bool IsSkippableMagic(uint32_t magic) {
  return (magic & 0xFFFFFFF0) == 0x184D2A50;
}

struct FrameExtent {
  uint64_t end = 0;          // of the frame, or of the last whole block in it
  bool is_complete = false;  // the frame, checksum included
  bool has_checksum = false;
  // Of a block at `end` that holds its text as it is, and is not whole: the
  // bytes of text that are there.
  uint64_t cut_raw_bytes = 0;
};

// The zstd frame at `offset` of `file`, as far as `limit`. Each block costs a
// read(2); `blocks`, if given, gets how many were looked at.
//   DataLoss: there is none, or something in it is no block
absl::StatusOr<FrameExtent> ParseFrameExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit,
                                             uint64_t* blocks = nullptr);

// Where the block at `offset` within a frame ends.
struct BlockExtent {
  uint64_t end = 0;
  bool is_last = false;
  bool is_whole = false;  // it ends at or before the limit
  bool is_raw = false;
};
absl::StatusOr<BlockExtent> ParseBlockExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_ZSTD_FRAME_H_
