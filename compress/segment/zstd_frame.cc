#include "ringlog/compress/segment/zstd_frame.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr size_t kBlockHeaderBytes = 3;
constexpr uint32_t kMaxBlockBytes = 128 << 10;
constexpr size_t kMagicAndDescriptorBytes = 5;

// Returns the little-endian integer of `bytes` bytes at `offset`.
// Requires: the caller has checked the limit. A file that ends before it is an
// error.
absl::StatusOr<uint64_t> ReadInteger(const SegmentFile& file, uint64_t offset,
                                     size_t bytes) {
  char buffer[8];
  absl::StatusOr<size_t> got = file.ReadAt(offset, buffer, bytes);
  if (!got.ok()) return got.status();
  if (*got != bytes) {
    return absl::DataLossError(
        absl::StrCat(file.path(), " has become shorter"));
  }
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(buffer[i]);
  }
  return value;
}

absl::Status NoFrame(const SegmentFile& file, uint64_t offset,
                     absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(file.path(), ": no ", what, " at byte ", offset));
}

// Returns the size of a frame header with this descriptor byte.
size_t HeaderBytes(uint32_t descriptor) {
  const bool single_segment = (descriptor >> 5 & 1) != 0;
  constexpr size_t kDictionaryIdBytes[] = {0, 1, 2, 4};
  const size_t content_size_bytes[] = {single_segment ? size_t{1} : size_t{0},
                                       2, 4, 8};
  return kMagicAndDescriptorBytes + (single_segment ? 0 : 1) +
         kDictionaryIdBytes[descriptor & 3] +
         content_size_bytes[descriptor >> 6];
}

}  // namespace

absl::StatusOr<BlockExtent> ParseBlockExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit) {
  BlockExtent extent;
  extent.end = offset;
  if (limit < offset + kBlockHeaderBytes) return extent;
  const absl::StatusOr<uint64_t> header =
      ReadInteger(file, offset, kBlockHeaderBytes);
  if (!header.ok()) return header.status();
  constexpr uint64_t kRaw = 0;
  constexpr uint64_t kRunLength = 1;
  constexpr uint64_t kReserved = 3;
  const uint64_t type = *header >> 1 & 3;
  const uint64_t bytes = *header >> 3;
  if (type == kReserved || bytes > kMaxBlockBytes) {
    return NoFrame(file, offset, "block");
  }
  // A hole would be an endless row of empty blocks.
  if (*header == 0 && file.FindData(offset, limit).begin != offset) {
    return NoFrame(file, offset, "block, but a hole,");
  }
  extent.is_last = (*header & 1) != 0;
  extent.end = offset + kBlockHeaderBytes + (type == kRunLength ? 1 : bytes);
  extent.is_complete = extent.end <= limit;
  extent.is_raw = type == kRaw;
  return extent;
}

absl::StatusOr<FrameExtent> ParseFrameExtent(const SegmentFile& file,
                                             uint64_t offset, uint64_t limit,
                                             uint64_t* blocks) {
  FrameExtent extent;
  extent.end = offset;
  if (limit < offset + kMagicAndDescriptorBytes) return extent;
  const absl::StatusOr<uint64_t> begin =
      ReadInteger(file, offset, kMagicAndDescriptorBytes);
  if (!begin.ok()) return begin.status();
  const auto descriptor = static_cast<uint32_t>(*begin >> 32);
  constexpr uint32_t kReservedBit = 8;
  if ((*begin & 0xFFFFFFFF) != kZstdFrameMagic ||
      (descriptor & kReservedBit) != 0) {
    return NoFrame(file, offset, "zstd frame");
  }
  extent.has_checksum = (descriptor >> 2 & 1) != 0;
  uint64_t at = offset + HeaderBytes(descriptor);
  if (at > limit) return extent;
  extent.end = at;
  for (bool is_last = false; !is_last;) {
    if (blocks != nullptr) ++*blocks;
    const absl::StatusOr<BlockExtent> block = ParseBlockExtent(file, at, limit);
    if (!block.ok()) return block.status();
    if (!block->is_complete) {
      if (block->is_raw) {
        extent.truncated_raw_bytes = limit - at - kBlockHeaderBytes;
      }
      return extent;
    }
    is_last = block->is_last;
    extent.end = at = block->end;
  }
  if (extent.has_checksum) {
    if (limit < at + kZstdChecksumBytes) return extent;
    extent.end = at + kZstdChecksumBytes;
  }
  extent.is_complete = true;
  return extent;
}

void FreeZstdContext::operator()(ZSTD_CCtx_s* context) const {
  ZSTD_freeCCtx(context);
}

void FreeZstdContext::operator()(ZSTD_DCtx_s* context) const {
  ZSTD_freeDCtx(context);
}

absl::StatusOr<std::string> CompressFrame(absl::string_view text, int level) {
  const ZstdCompressor context(ZSTD_createCCtx());
  if (context == nullptr) return absl::InternalError("zstd: out of memory");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  const size_t bytes = ZSTD_compress2(context.get(), frame.data(), frame.size(),
                                      text.data(), text.size());
  if (ZSTD_isError(bytes)) {
    return absl::InternalError(
        absl::StrCat("zstd: ", ZSTD_getErrorName(bytes)));
  }
  frame.resize(bytes);
  return frame;
}

}  // namespace ringlog
