// FrameSearch
//
// Finds the next frame in bytes that make no sense.
//
// A message may hold anything, whole frames too, and zstd stores what it cannot
// compress as it is. So once it is known whose segment the file is, a frame is
// found only by metadata that have the segment's ring id, which nobody knows
// who can only log, and its number.
//
// All searches of a file together take time in proportion to its length, also
// where somebody made it to take more: they share a budget, and what it does
// not reach to is not found.

#ifndef RINGLOG_COMPRESS_SEGMENT_FRAME_SEARCH_H_
#define RINGLOG_COMPRESS_SEGMENT_FRAME_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"

namespace ringlog {

// The metadata frame at `offset` of `file`; `*end` gets where it ends.
//   NotFound: there is none
//   others:   those of DecodeMetadataPayload(), and of read(2)
absl::StatusOr<FrameMetadata> ReadMetadataFrame(const SegmentFile& file,
                                                uint64_t offset, uint64_t limit,
                                                uint64_t* end);

// Whether a frame begins at `offset`, or the file ends there.
bool IsFrameBoundary(const SegmentFile& file, uint64_t offset, uint64_t limit);

// Thread-compatible. `file` must outlive it.
class FrameSearch {
 public:
  // Searches `file` as far as `limit`.
  FrameSearch(const SegmentFile* file, uint64_t limit)
      : file_(file), limit_(limit) {}
  FrameSearch(const FrameSearch&) = delete;
  FrameSearch& operator=(const FrameSearch&) = delete;

  // From now on only metadata of this segment count.
  void SetSegment(const RingId& ring_id, uint64_t number);

  // The first metadata frame at or behind `offset` that is whole, counts, and
  // that `is_it` accepts.
  std::optional<uint64_t> FindMetadata(
      uint64_t offset,
      absl::FunctionRef<bool(const FrameMetadata&, uint64_t offset)> is_it);

  // The same, whatever the metadata say. nullopt if no segment has been set:
  // they could be anybody's.
  std::optional<uint64_t> FindMetadata(uint64_t offset);

  // The first frame at or behind `offset`: the zstd frame that ends where
  // metadata of this segment begin that say so, or else those metadata. If no
  // segment has been set: any metadata, or a zstd frame whose headers lead to
  // its end, with another frame behind it, or to the limit.
  std::optional<uint64_t> FindFrame(uint64_t offset);

  // So many bytes were read in vain.
  void Charge(uint64_t bytes) { spent_ += bytes; }
  // So many blocks were looked at by ParseFrameExtent() in vain.
  void ChargeBlocks(uint64_t blocks);

 private:
  std::optional<uint64_t> Search(
      uint64_t offset, bool for_zstd_frames,
      absl::FunctionRef<bool(uint32_t magic, uint64_t offset)> is_it);
  absl::string_view BytesFrom(uint64_t offset);
  std::optional<FrameMetadata> ReadMetadata(uint64_t offset);
  bool IsZstdFrame(uint64_t offset);
  void FindNext(uint64_t offset);

  const SegmentFile* const file_;
  const uint64_t limit_;
  uint64_t spent_ = 0;

  bool has_segment_ = false;
  RingId ring_id_ = {};
  uint64_t number_ = 0;

  // What FindNext() has found: the first metadata behind next_from_, and their
  // frame, if that begins behind it, too; else the metadata again. The limit,
  // if there are none. Searches go from front to back, so the same is asked
  // for often.
  bool has_next_ = false;
  uint64_t next_from_ = 0;
  uint64_t next_frame_ = 0;
  uint64_t next_metadata_ = 0;

  // Of the file, from chunk_begin_ on.
  std::string chunk_;
  size_t chunk_size_ = 0;
  uint64_t chunk_begin_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_FRAME_SEARCH_H_
