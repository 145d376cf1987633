#include "ringlog/compress/segment/identify_segment.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/frame_search.h"
#include "ringlog/compress/segment/zstd_frame.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// Bytes of a file that are searched. A file of another program may be long.
constexpr uint64_t kMaxSearchBytes = 64 << 20;

// Maximum number of bytes that damage may have added or removed before a
// metadata frame.
constexpr uint64_t kMaxShiftBytes = 16;

// Follows the headers of frames, one frame after the other from byte 0.
class Walk {
 public:
  // Does not follow a frame for longer than a first frame can be.
  Walk(const SegmentFile& file, uint64_t limit)
      : file_(file), limit_(std::min(limit, kMaxSearchBytes)) {}

  enum class End {
    kMetadata,   // Found: metadata().
    kNone,       // The file has no metadata frame, or only the begin of one.
    kTruncated,  // The limit is inside a block of the frame at frame_begin().
    kLost,       // The frame at frame_begin(), or the bytes after it, are
                 // damaged.
  };
  End Run() {
    while (at_ < limit_) {
      uint32_t head[2];  // magic; of a skippable frame, its length
      const absl::StatusOr<size_t> got =
          file_.ReadAt(at_, reinterpret_cast<char*>(head), sizeof head);
      // The header of a truncated frame identifies nothing.
      if (!got.ok() || *got != sizeof head) break;
      if (head[0] == kZstdFrameMagic) {
        if (const auto end = SkipFrame()) return *end;
      } else if (!IsSkippableMagic(head[0])) {
        return End::kLost;
      } else if (ReadMetadata()) {
        return End::kMetadata;
      } else {
        seen_skippable_ = true;
        at_ += kSkippableHeaderBytes + head[1];
      }
    }
    return seen_skippable_ ? End::kLost : End::kNone;
  }

  const FrameMetadata& metadata() const { return *metadata_; }
  uint64_t frame_begin() const { return frame_begin_; }
  // Returns the end of the last complete frame; 0 if there is none.
  uint64_t frame_end() const { return frame_end_; }
  // Returns true if the header of that frame announces a checksum.
  bool has_checksum() const { return has_checksum_; }
  // Returns Unimplemented if the walk met a metadata frame of a later version.
  const absl::Status& version_status() const { return version_status_; }

 private:
  std::optional<End> SkipFrame() {
    frame_begin_ = at_;
    const absl::StatusOr<FrameExtent> extent =
        ParseFrameExtent(file_, at_, limit_);
    if (!extent.ok()) return End::kLost;
    if (!extent->is_complete) {
      // If complete blocks lead to the limit, no metadata frame is in between.
      return extent->end == limit_ ? End::kNone : End::kTruncated;
    }
    frame_end_ = at_ = extent->end;
    has_checksum_ = extent->has_checksum;
    return std::nullopt;
  }

  bool ReadMetadata() {
    uint64_t end;
    absl::StatusOr<FrameMetadata> metadata =
        ReadMetadataFrame(file_, at_, limit_, &end);
    if (absl::IsUnimplemented(metadata.status())) {
      version_status_ = metadata.status();
    }
    if (metadata.ok()) metadata_ = *std::move(metadata);
    return metadata_.has_value();
  }

  const SegmentFile& file_;
  const uint64_t limit_;
  uint64_t at_ = 0;
  uint64_t frame_begin_ = 0;  // Begin of the last zstd frame.
  uint64_t frame_end_ = 0;    // End of the last complete zstd frame.
  bool has_checksum_ = false;
  bool seen_skippable_ = false;
  absl::Status version_status_;
  std::optional<FrameMetadata> metadata_;
};

// Returns false if `path` is the name of another segment than that of
// `metadata`. The name of another program's file proves nothing.
bool MayBeNamed(absl::string_view path, const FrameMetadata& metadata) {
  const ParsedFileName name = ParseFileName(Basename(path));
  return name.kind != FileKind::kSegment ||
         (name.ring_id_prefix == RingIdPrefix(metadata.identity.ring_id) &&
          name.segment_number == metadata.identity.number);
}

// Returns the first metadata frame at or after `offset` that the file's name
// allows and that `is_it` accepts. `is_it` adds the number of block headers
// that it parses to `*blocks_walked`.
std::optional<FrameMetadata> Search(
    const SegmentFile& file, uint64_t offset, uint64_t limit,
    absl::FunctionRef<bool(const FrameMetadata&, uint64_t offset,
                           uint64_t* blocks_walked)>
        is_it) {
  FrameSearch search(&file, std::min(limit, kMaxSearchBytes));
  std::optional<FrameMetadata> found;
  search.FindMetadata(offset, [&](const FrameMetadata& metadata, uint64_t at) {
    if (!MayBeNamed(file.path(), metadata)) return false;
    uint64_t blocks = 0;
    const bool found_it = is_it(metadata, at, &blocks);
    search.ChargeBlocks(blocks);
    if (!found_it) return false;
    found = metadata;
    return true;
  });
  return found;
}

// Returns true if the zstd frame at `begin` is complete and ends at `end`.
bool IsCompleteFrame(const SegmentFile& file, uint64_t begin, uint64_t end,
                     uint64_t* blocks) {
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file, begin, end, blocks);
  return extent.ok() && extent->is_complete && extent->end == end;
}

// Returns the metadata frame of the damaged frame at `begin`.
std::optional<FrameMetadata> OfFrameAt(const SegmentFile& file, uint64_t begin,
                                       uint64_t limit) {
  return Search(file, begin, limit,
                [begin](const FrameMetadata& metadata, uint64_t at, uint64_t*) {
                  const uint64_t bytes = at - begin;
                  return std::max(bytes, metadata.compressed_bytes) -
                             std::min(bytes, metadata.compressed_bytes) <=
                         kMaxShiftBytes;
                });
}

// Returns the metadata frame of the frame after the damaged metadata frame at
// `offset`.
std::optional<FrameMetadata> OfFrameAfterMetadataAt(const SegmentFile& file,
                                                    uint64_t offset,
                                                    uint64_t limit) {
  const uint64_t payload = offset + kSkippableHeaderBytes;
  return Search(
      file, offset, limit,
      [&](const FrameMetadata& metadata, uint64_t at, uint64_t* blocks) {
        const uint64_t begin = at - std::min(at, metadata.compressed_bytes);
        return begin >= payload && IsMetadataPayloadLength(begin - payload) &&
               IsCompleteFrame(file, begin, at, blocks);
      });
}

// Returns the first metadata frame that has a complete frame before it and
// another frame after it.
std::optional<FrameMetadata> OfAnyFrame(const SegmentFile& file,
                                        uint64_t limit) {
  return Search(
      file, 0, limit,
      [&](const FrameMetadata& metadata, uint64_t at, uint64_t* blocks) {
        uint64_t end = 0;
        return IsCompleteFrame(file,
                               at - std::min(at, metadata.compressed_bytes), at,
                               blocks) &&
               ReadMetadataFrame(file, at, limit, &end).ok() &&
               IsFrameBoundary(file, end, limit);
      });
}

// Returns the metadata frame that identifies the segment in `file`, of which
// `walk` has ended with `end`.
std::optional<FrameMetadata> Identify(const Walk& walk, Walk::End end,
                                      const SegmentFile& file, uint64_t limit) {
  if (end == Walk::End::kMetadata) return walk.metadata();
  if (end == Walk::End::kNone) return std::nullopt;
  auto found = OfFrameAt(file, walk.frame_begin(), limit);
  if (found.has_value() || end == Walk::End::kTruncated) return found;
  if (walk.frame_end() == 0) return OfAnyFrame(file, limit);
  found = OfFrameAfterMetadataAt(file, walk.frame_end(), limit);
  if (found.has_value() || walk.has_checksum()) return found;
  // A frame that lost the flag of its checksum seems to end before it.
  return OfFrameAfterMetadataAt(file, walk.frame_end() + kZstdChecksumBytes,
                                limit);
}

}  // namespace

std::optional<FrameMetadata> IdentifySegment(const SegmentFile& file,
                                             uint64_t limit) {
  Walk walk(file, limit);
  const Walk::End end = walk.Run();
  return Identify(walk, end, file, limit);
}

absl::StatusOr<bool> BelongsToAnotherRing(const SegmentFile& file,
                                          const RingId& ring_id) {
  Walk walk(file, file.opened_bytes());
  const Walk::End end = walk.Run();
  if (!walk.version_status().ok()) return walk.version_status();
  const std::optional<FrameMetadata> first =
      Identify(walk, end, file, file.opened_bytes());
  return first.has_value() && first->identity.ring_id != ring_id;
}

}  // namespace ringlog
