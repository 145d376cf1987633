// FrameSearch
//
// Resynchronizes after damage: finds the next frame of a file.
//
// A message may contain complete frames, and zstd stores incompressible text
// unchanged. So once the segment is known, a frame is found only by a metadata
// frame with the segment's ring id and number. A process that can only log does
// not know the ring id.
//
// All searches of a file together take time in proportion to the file's data,
// without its holes, also if an attacker made the file. They share a budget of
// bytes read in vain. Once the budget is used up, no further frame is found.

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

// Returns the metadata frame at `offset` of `file`, read up to `limit`. Sets
// `*end` to the end of the frame, also if its payload cannot be decoded.
//   NotFound: no metadata frame begins at `offset`, or the frame is truncated
//   others:   those of DecodeMetadataPayload(), and of pread(2)
absl::StatusOr<FrameMetadata> ReadMetadataFrame(const SegmentFile& file,
                                                uint64_t offset, uint64_t limit,
                                                uint64_t* end);

// Returns true if a frame begins at `offset` of `file`, or if `offset` is the
// limit. The frame's magic may be truncated by the limit.
bool IsFrameBoundary(const SegmentFile& file, uint64_t offset, uint64_t limit);

// Thread-compatible. `file` must outlive the search.
class FrameSearch {
 public:
  // Searches `file` up to `limit`.
  FrameSearch(const SegmentFile* file, uint64_t limit)
      : file_(file), limit_(limit) {}
  FrameSearch(const FrameSearch&) = delete;
  FrameSearch& operator=(const FrameSearch&) = delete;

  // Restricts later searches to metadata frames of this segment.
  void SetSegment(const RingId& ring_id, uint64_t number);

  // Returns the offset of the first intact metadata frame at or after `offset`
  // that is of the segment, if one is set, and that `is_it` accepts.
  std::optional<uint64_t> FindMetadata(
      uint64_t offset,
      absl::FunctionRef<bool(const FrameMetadata&, uint64_t offset)> is_it);

  // Returns the offset of the first intact metadata frame of the segment at or
  // after `offset`. Returns nullopt if no segment is set, because a message may
  // contain metadata frames of other segments.
  std::optional<uint64_t> FindMetadata(uint64_t offset);

  // Returns the offset of the first frame at or after `offset`.
  // - If a segment is set: the zstd frame that the next metadata frame of the
  //   segment describes, if it begins at or after `offset` and its headers lead
  //   to that metadata frame. Otherwise the metadata frame.
  // - If no segment is set: an intact metadata frame, or a zstd frame whose
  //   headers lead to another frame, or to the limit.
  std::optional<uint64_t> FindFrame(uint64_t offset);

  // Charges `bytes` bytes read in vain to the budget.
  void Charge(uint64_t bytes) { spent_ += bytes; }
  // Charges `blocks` block headers parsed in vain to the budget.
  void ChargeBlocks(uint64_t blocks);

 private:
  std::optional<uint64_t> Search(
      uint64_t offset, bool for_zstd_frames,
      absl::FunctionRef<bool(uint32_t magic, uint64_t offset)> is_it);
  bool IsOverBudget();
  absl::string_view BytesFrom(uint64_t offset, uint64_t end);
  std::optional<FrameMetadata> ReadMetadata(uint64_t offset);
  bool IsZstdFrame(uint64_t offset);
  void FindNext(uint64_t offset);

  const SegmentFile* const file_;
  const uint64_t limit_;
  uint64_t spent_ = 0;  // Bytes charged to the budget.
  // Bytes of the file up to the limit that are not in holes, once known.
  std::optional<uint64_t> data_bytes_;

  bool has_segment_ = false;
  RingId ring_id_ = {};
  uint64_t number_ = 0;

  // Result of the last FindNext(), kept because callers ask from front to back
  // and so often for the same frame.
  bool has_next_ = false;
  uint64_t next_from_ = 0;  // Offset that the search began at.
  // Offset of the zstd frame that the metadata frame describes, if that begins
  // at or after next_from_. Otherwise equal to next_metadata_.
  uint64_t next_frame_ = 0;
  // Offset of the first metadata frame; the limit if there is none.
  uint64_t next_metadata_ = 0;

  // Bytes of the file from chunk_begin_ on; the first chunk_size_ are valid.
  std::string chunk_;
  size_t chunk_size_ = 0;
  uint64_t chunk_begin_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_FRAME_SEARCH_H_
