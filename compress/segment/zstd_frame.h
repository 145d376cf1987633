// Zstd frames: parsing of the headers of frames and blocks, without
// decompressing and without the frame in memory; compression of one frame;
// ownership of contexts.

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

// Magic of a zstd frame.
inline constexpr uint32_t kZstdFrameMagic = 0xFD2FB528;

// Returns true for the magic of a skippable frame, whose low four bits are
// free.
constexpr bool IsSkippableMagic(uint32_t magic) {
  return (magic & 0xFFFFFFF0) == 0x184D2A50;
}

struct FrameExtent {
  // End of the frame, or of its last complete block.
  uint64_t end = 0;
  bool is_complete = false;  // with its checksum
  bool has_checksum = false;
  // Bytes of text in an incomplete raw block at `end`.
  uint64_t cut_raw_bytes = 0;
};

// Returns the extent of the zstd frame at `offset`; reads no byte at `limit` or
// after it. Costs a read(2) for each block; sets `*blocks`, if given, to their
// number.
//   DataLoss: no frame, or a damaged block header
absl::StatusOr<FrameExtent> ParseFrameExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit,
                                             uint64_t* blocks = nullptr);

// Extent of a block within a frame.
struct BlockExtent {
  uint64_t end = 0;
  bool is_last = false;
  bool is_whole = false;  // it ends at or before the limit
  bool is_raw = false;
};
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
