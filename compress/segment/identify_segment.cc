#include "ringlog/compress/segment/identify_segment.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/frame_search.h"
#include "ringlog/compress/segment/zstd_frame.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// How far a file is searched: another program's may be long.
constexpr uint64_t kMaxSearchBytes = 64 << 20;

// By so many bytes damage may have moved what is behind it.
constexpr uint64_t kMaxShiftBytes = 16;

// From byte 0, one frame after the other.
class Walk {
 public:
  Walk(const SegmentFile& file, uint64_t limit) : file_(file), limit_(limit) {}

  enum class End {
    kMetadata,  // they are metadata()
    kNone,      // there are none, or they are not whole
    kCut,       // the frame at frame_begin() goes on beyond the limit
    kLost,      // the frame at frame_begin(), or what follows it, is damaged
  };
  End Run() {
    while (at_ < std::min(limit_, kMaxSearchBytes)) {
      uint32_t head[2];  // magic; of a skippable frame, its length
      const absl::StatusOr<size_t> got =
          file_.ReadAt(at_, reinterpret_cast<char*>(head), sizeof head);
      // A frame that is cut here tells nothing.
      if (!got.ok() || *got != sizeof head) break;
      if (head[0] == kZstdFrameMagic) {
        if (const auto end = PassFrame()) return *end;
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
  // 0 if the first frame has no end.
  uint64_t frame_end() const { return frame_end_; }

 private:
  std::optional<End> PassFrame() {
    frame_begin_ = at_;
    const absl::StatusOr<FrameExtent> extent =
        ParseFrameExtent(file_, at_, limit_);
    if (!extent.ok()) return End::kLost;
    if (!extent->is_complete) {
      // If the blocks lead to the limit, there is nothing between.
      return extent->end == limit_ ? End::kNone : End::kCut;
    }
    frame_end_ = at_ = extent->end;
    return std::nullopt;
  }

  bool ReadMetadata() {
    uint64_t end;
    absl::StatusOr<FrameMetadata> metadata =
        ReadMetadataFrame(file_, at_, limit_, &end);
    if (metadata.ok()) metadata_ = *std::move(metadata);
    return metadata_.has_value();
  }

  const SegmentFile& file_;
  const uint64_t limit_;
  uint64_t at_ = 0;
  uint64_t frame_begin_ = 0;  // of the last zstd frame
  uint64_t frame_end_ = 0;    // of the last one that has an end
  bool seen_skippable_ = false;
  std::optional<FrameMetadata> metadata_;
};

// Names of others say nothing.
bool MayBeNamed(absl::string_view path, const FrameMetadata& metadata) {
  const ParsedFileName name = ParseFileName(Basename(path));
  return name.kind != FileKind::kSegment ||
         (name.ring_id_prefix == RingIdPrefix(metadata.identity.ring_id) &&
          name.segment_number == metadata.identity.number);
}

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

bool IsWholeFrame(const SegmentFile& file, uint64_t begin, uint64_t end,
                  uint64_t* blocks) {
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file, begin, end, blocks);
  return extent.ok() && extent->is_complete && extent->end == end;
}

// Those of a damaged frame that began at `begin`.
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

// Those of the frame that follows damaged metadata at `offset`.
std::optional<FrameMetadata> OfFrameBehindMetadataAt(const SegmentFile& file,
                                                     uint64_t offset,
                                                     uint64_t limit) {
  const uint64_t payload = offset + kSkippableHeaderBytes;
  return Search(
      file, offset, limit,
      [&](const FrameMetadata& metadata, uint64_t at, uint64_t* blocks) {
        const uint64_t begin = at - std::min(at, metadata.compressed_bytes);
        return begin >= payload && IsMetadataPayloadLength(begin - payload) &&
               IsWholeFrame(file, begin, at, blocks);
      });
}

// Those of any frame that is whole and has another behind its metadata.
std::optional<FrameMetadata> OfAnyFrame(const SegmentFile& file,
                                        uint64_t limit) {
  return Search(
      file, 0, limit,
      [&](const FrameMetadata& metadata, uint64_t at, uint64_t* blocks) {
        uint64_t end = 0;
        return IsWholeFrame(file, at - std::min(at, metadata.compressed_bytes),
                            at, blocks) &&
               ReadMetadataFrame(file, at, limit, &end).ok() &&
               IsFrameBoundary(file, end, limit);
      });
}

}  // namespace

std::optional<FrameMetadata> IdentifySegment(const SegmentFile& file,
                                             uint64_t limit) {
  Walk walk(file, limit);
  const Walk::End end = walk.Run();
  if (end == Walk::End::kMetadata) return walk.metadata();
  if (end == Walk::End::kNone) return std::nullopt;
  auto found = OfFrameAt(file, walk.frame_begin(), limit);
  if (found.has_value() || end == Walk::End::kCut) return found;
  if (walk.frame_end() != 0) {
    return OfFrameBehindMetadataAt(file, walk.frame_end(), limit);
  }
  return OfAnyFrame(file, limit);
}

}  // namespace ringlog
