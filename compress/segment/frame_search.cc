#include "ringlog/compress/segment/frame_search.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/segment/zstd_frame.h"

namespace ringlog {
namespace {

constexpr size_t kMagicBytes = sizeof(uint32_t);

// Returns the integer at `p`, in the byte order of the machine: little-endian.
uint32_t Load32(const char* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// Budget of all searches of a file: bytes read in vain, without the bytes that
// are only searched for magics. Added to it: kBudgetPerByte for each byte of
// data.
constexpr uint64_t kMinBudgetBytes = 1 << 20;
constexpr uint64_t kBudgetPerByte = 4;

// Bytes that a parsed block header is charged as, by its cost.
constexpr uint64_t kBytesOfABlock = 32;

// Offsets of a magic in a string, from front to back.
class Occurrences {
 public:
  Occurrences(absl::string_view bytes, uint32_t magic) : bytes_(bytes) {
    std::memcpy(magic_, &magic, sizeof magic_);
    at_ = Find(0);
  }

  // Returns the first offset at or after `begin`; npos if there is none.
  // Requires: `begin` does not decrease from call to call.
  size_t From(size_t begin) {
    if (at_ < begin) at_ = Find(begin);
    return at_;
  }

 private:
  size_t Find(size_t begin) const {
    return bytes_.find(absl::string_view(magic_, sizeof magic_), begin);
  }

  const absl::string_view bytes_;
  char magic_[kMagicBytes];
  size_t at_;
};

}  // namespace

absl::StatusOr<FrameMetadata> ReadMetadataFrame(const SegmentFile& file,
                                                uint64_t offset, uint64_t limit,
                                                uint64_t* end) {
  const absl::Status none = absl::NotFoundError(
      absl::StrCat(file.path(), ": no metadata frame at byte ", offset));
  // Memory for the payload is allocated only if the payload's magic matches.
  char start[kSkippableHeaderBytes + sizeof kMetadataMagic];
  if (limit < offset + sizeof start) return none;
  absl::StatusOr<size_t> got = file.ReadAt(offset, start, sizeof start);
  if (!got.ok()) return got.status();
  const uint64_t bytes = Load32(start + kMagicBytes);
  const uint64_t begin = offset + kSkippableHeaderBytes;
  if (*got != sizeof start || Load32(start) != kMetadataFrameMagic ||
      std::memcmp(start + kSkippableHeaderBytes, kMetadataMagic,
                  sizeof kMetadataMagic) != 0 ||
      bytes > kMaxMetadataPayloadBytes || bytes > limit - begin) {
    return none;
  }
  std::string payload(static_cast<size_t>(bytes), '\0');
  got = file.ReadAt(begin, payload.data(), payload.size());
  if (!got.ok()) return got.status();
  if (*got != payload.size()) return none;
  *end = begin + bytes;
  return DecodeMetadataPayload(payload);
}

bool IsFrameBoundary(const SegmentFile& file, uint64_t offset, uint64_t limit) {
  if (offset >= limit) return offset == limit;
  char magic[kMagicBytes];
  const size_t bytes =
      static_cast<size_t>(std::min<uint64_t>(sizeof magic, limit - offset));
  const absl::StatusOr<size_t> got = file.ReadAt(offset, magic, bytes);
  if (!got.ok() || *got != bytes) return false;
  // The limit may truncate a magic.
  const auto continues_as = [&](uint32_t complete_magic) {
    char complete[kMagicBytes];
    std::memcpy(complete, &complete_magic, sizeof complete);
    std::memcpy(complete, magic, bytes);
    return Load32(complete) == kZstdFrameMagic ||
           IsSkippableMagic(Load32(complete));
  };
  return continues_as(kZstdFrameMagic) || continues_as(kMetadataFrameMagic);
}

void FrameSearch::SetSegment(const RingId& ring_id, uint64_t number) {
  has_segment_ = true;
  ring_id_ = ring_id;
  number_ = number;
  has_next_ = false;
}

// Returns true if the budget is used up.
bool FrameSearch::IsOverBudget() {
  if (spent_ <= kMinBudgetBytes) return false;
  if (!data_bytes_.has_value()) {
    data_bytes_ = 0;
    for (uint64_t at = 0; at < limit_;) {
      const FileRange data = file_->FindData(at, limit_);
      *data_bytes_ += data.end - data.begin;
      at = data.end;
    }
  }
  return (spent_ - kMinBudgetBytes) / kBudgetPerByte > *data_bytes_;
}

// Returns some bytes of the file from `offset` to `end`: at least four, unless
// `end` is closer or pread(2) fails.
absl::string_view FrameSearch::BytesFrom(uint64_t offset, uint64_t end) {
  constexpr size_t kChunkBytes = 64 << 10;
  if (offset < chunk_begin_ ||
      offset + kMagicBytes > chunk_begin_ + chunk_size_) {
    chunk_.resize(kChunkBytes);
    const absl::StatusOr<size_t> got = file_->ReadAt(
        offset, chunk_.data(),
        static_cast<size_t>(std::min<uint64_t>(kChunkBytes, end - offset)));
    chunk_begin_ = offset;
    chunk_size_ = got.ok() ? *got : 0;
  }
  return absl::string_view(chunk_.data(), chunk_size_)
      .substr(static_cast<size_t>(offset - chunk_begin_));
}

// Returns the first offset at or after `offset` that has the metadata frame's
// magic, or a zstd frame's if `for_zstd_frames`, and that `is_it` accepts.
std::optional<uint64_t> FrameSearch::Search(
    uint64_t offset, bool for_zstd_frames,
    absl::FunctionRef<bool(uint32_t magic, uint64_t offset)> is_it) {
  while (offset + kMagicBytes <= limit_) {
    // No magic has a zero, so none is partly in a hole.
    const FileRange data = file_->FindData(offset, limit_);
    if (data.end - data.begin < kMagicBytes) {
      offset = data.end;
      continue;
    }
    offset = data.begin;
    const absl::string_view bytes = BytesFrom(offset, data.end);
    if (bytes.size() < kMagicBytes) return std::nullopt;
    Occurrences metadata(bytes, kMetadataFrameMagic);
    Occurrences frames(for_zstd_frames ? bytes : "", kZstdFrameMagic);
    for (size_t i = 0;; ++i) {
      i = std::min(metadata.From(i), frames.From(i));
      if (i == absl::string_view::npos) break;
      if (IsOverBudget()) return std::nullopt;
      if (is_it(Load32(bytes.data() + i), offset + i)) return offset + i;
    }
    offset += bytes.size() - kMagicBytes + 1;
  }
  return std::nullopt;
}

// Returns the metadata frame at `offset`, if it is intact and of the segment.
// Reads no more than the identity of other segments' metadata frames, because
// messages may contain so many of them that they would use up the budget.
std::optional<FrameMetadata> FrameSearch::ReadMetadata(uint64_t offset) {
  char start[kSkippableHeaderBytes + kMetadataIdentityBytes];
  if (limit_ - offset < sizeof start) return std::nullopt;
  const absl::StatusOr<size_t> got = file_->ReadAt(offset, start, sizeof start);
  if (!got.ok() || *got != sizeof start) return std::nullopt;
  const absl::string_view payload(start + kSkippableHeaderBytes,
                                  kMetadataIdentityBytes);
  if (has_segment_ && !IsMetadataOf(payload, ring_id_, number_)) {
    return std::nullopt;
  }
  uint64_t end = 0;
  absl::StatusOr<FrameMetadata> metadata =
      ReadMetadataFrame(*file_, offset, limit_, &end);
  if (metadata.ok()) return *std::move(metadata);
  if (end > offset) Charge(end - offset);
  return std::nullopt;
}

std::optional<uint64_t> FrameSearch::FindMetadata(
    uint64_t offset,
    absl::FunctionRef<bool(const FrameMetadata&, uint64_t offset)> is_it) {
  return Search(offset, /*for_zstd_frames=*/false, [&](uint32_t, uint64_t at) {
    const std::optional<FrameMetadata> metadata = ReadMetadata(at);
    return metadata.has_value() && is_it(*metadata, at);
  });
}

// Finds the next metadata frame at or after `offset`, and its zstd frame.
// Parses no frame that begins before `offset`, so that all calls together parse
// each byte once.
void FrameSearch::FindNext(uint64_t offset) {
  if (has_next_ && next_from_ <= offset && offset <= next_metadata_) return;
  has_next_ = true;
  next_from_ = offset;
  uint64_t frame = limit_;
  next_metadata_ =
      FindMetadata(offset, [&](const FrameMetadata& metadata, uint64_t at) {
        frame = at - std::min(metadata.compressed_bytes, at);
        return true;
      }).value_or(limit_);
  next_frame_ = next_metadata_;
  if (frame < offset || frame >= next_metadata_) return;
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(*file_, frame, next_metadata_);
  if (extent.ok() && extent->is_complete && extent->end == next_metadata_) {
    next_frame_ = frame;
  }
}

std::optional<uint64_t> FrameSearch::FindMetadata(uint64_t offset) {
  if (!has_segment_) return std::nullopt;
  FindNext(offset);
  if (next_metadata_ >= limit_) return std::nullopt;
  return next_metadata_;
}

void FrameSearch::ChargeBlocks(uint64_t blocks) {
  Charge(blocks * kBytesOfABlock);
}

bool FrameSearch::IsZstdFrame(uint64_t offset) {
  uint64_t blocks = 0;
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(*file_, offset, limit_, &blocks);
  ChargeBlocks(blocks);
  return extent.ok() &&
         (!extent->is_complete || IsFrameBoundary(*file_, extent->end, limit_));
}

std::optional<uint64_t> FrameSearch::FindFrame(uint64_t offset) {
  if (has_segment_) {
    const std::optional<uint64_t> metadata = FindMetadata(offset);
    if (metadata.has_value() && next_frame_ >= offset) return next_frame_;
    return metadata;
  }
  return Search(
      offset, /*for_zstd_frames=*/true, [&](uint32_t magic, uint64_t at) {
        return magic == kZstdFrameMagic ? IsZstdFrame(at)
                                        : ReadMetadata(at).has_value();
      });
}

}  // namespace ringlog
