// Parses the headers of zstd frames and of their blocks, without decompression;
// compresses one frame; owns contexts. Parsing reads only headers, so that the
// memory does not depend on a frame's size.

#ifndef RINGLOG_COMPRESS_SEGMENT_ZSTD_FRAME_H_
#define RINGLOG_COMPRESS_SEGMENT_ZSTD_FRAME_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_file.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace ringlog {

// The first four bytes of a zstd frame.
inline constexpr uint32_t kZstdFrameMagic = 0xFD2FB528;

// Size of the content checksum at the end of a zstd frame that has one.
inline constexpr uint64_t kZstdChecksumBytes = 4;

// Returns true if `magic` begins a skippable frame. zstd reserves 16 magics for
// them, which differ in the low four bits.
constexpr bool IsSkippableMagic(uint32_t magic) {
  return (magic & 0xFFFFFFF0) == 0x184D2A50;
}

// Offsets are those of the file.
struct FrameExtent {
  // End of the frame. If the frame is truncated: end of its last complete
  // block, or of its header, or its begin.
  uint64_t end = 0;
  // True if the limit is at or after the end of the frame, checksum included.
  bool is_complete = false;
  // True if the header announces a content checksum.
  bool has_checksum = false;
  // Bytes of text in a truncated raw block at `end`; 0 if there is none.
  uint64_t truncated_raw_bytes = 0;
};

// Returns the extent of the zstd frame at `offset` of `file`, read up to
// `limit`. Reads each block header, and adds their number to `*blocks`, if
// given.
//   DataLoss: no zstd frame begins at `offset`, a block header is invalid or in
//             a hole, or the file is shorter than `limit`
//   others:   those of pread(2)
absl::StatusOr<FrameExtent> ParseFrameExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit,
                                             uint64_t* blocks = nullptr);

// Offsets are those of the file.
struct BlockExtent {
  // End of the block by its header, which may be after the limit. The block's
  // begin if the header is truncated.
  uint64_t end = 0;
  bool is_last = false;      // True for the last block of a frame.
  bool is_complete = false;  // True if the block ends at or before the limit.
  bool is_raw = false;       // True if the block holds its text uncompressed.
};

// Returns the extent of the block at `offset` of `file`, read up to `limit`.
//   DataLoss: the block header is invalid or in a hole, or the file is shorter
//             than `limit`
//   others:   those of pread(2)
absl::StatusOr<BlockExtent> ParseBlockExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit);

// Deleter of a context of zstd.
struct FreeZstdContext {
  void operator()(ZSTD_CCtx_s* context) const;
  void operator()(ZSTD_DCtx_s* context) const;
};
using ZstdCompressor = std::unique_ptr<ZSTD_CCtx_s, FreeZstdContext>;
using ZstdDecompressor = std::unique_ptr<ZSTD_DCtx_s, FreeZstdContext>;

// Returns a zstd frame of `text`, with a checksum.
//   Internal: zstd failed, or has no memory
absl::StatusOr<std::string> CompressFrame(absl::string_view text, int level);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_ZSTD_FRAME_H_
