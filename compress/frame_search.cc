#include "ringlog/compress/frame_search.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/frame_walk.h"

namespace ringlog {
namespace {

constexpr size_t kMagicBytes = sizeof(uint32_t);

// Little-endian, as every machine that this runs on.
uint32_t Load32(const char* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// The first offset whose four bytes are a magic that `is_it` accepts.
std::optional<uint64_t> Search(
    const SegmentFile& file, uint64_t offset, uint64_t limit,
    absl::FunctionRef<bool(uint32_t magic, uint64_t offset)> is_it) {
  std::string chunk(64 << 10, '\0');
  while (offset + kMagicBytes <= limit) {
    const absl::StatusOr<size_t> got = file.ReadAt(
        offset, chunk.data(),
        static_cast<size_t>(std::min<uint64_t>(chunk.size(), limit - offset)));
    if (!got.ok() || *got < kMagicBytes) return std::nullopt;
    const size_t last = *got - kMagicBytes;
    for (size_t i = 0; i <= last; ++i) {
      if (is_it(Load32(chunk.data() + i), offset + i)) return offset + i;
    }
    offset += last + 1;
  }
  return std::nullopt;
}

bool IsMetadata(const SegmentFile& file, uint32_t magic, uint64_t offset,
                uint64_t limit) {
  uint64_t end;
  return magic == kMetadataFrameMagic &&
         ReadMetadataFrame(file, offset, limit, &end).ok();
}

}  // namespace

absl::StatusOr<FrameMetadata> ReadMetadataFrame(const SegmentFile& file,
                                                uint64_t offset, uint64_t limit,
                                                uint64_t* end) {
  const absl::Status none = absl::NotFoundError(
      absl::StrCat(file.path(), ": no metadata frame at byte ", offset));
  if (limit < offset + kSkippableHeaderBytes) return none;
  char header[kSkippableHeaderBytes];
  absl::StatusOr<size_t> got = file.ReadAt(offset, header, sizeof header);
  if (!got.ok()) return got.status();
  const uint64_t bytes = Load32(header + kMagicBytes);
  const uint64_t begin = offset + kSkippableHeaderBytes;
  if (*got != sizeof header || Load32(header) != kMetadataFrameMagic ||
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
  // A file may be cut within a magic.
  const auto goes_on_as = [&](uint32_t whole_magic) {
    char whole[kMagicBytes];
    std::memcpy(whole, &whole_magic, sizeof whole);
    std::memcpy(whole, magic, bytes);
    return Load32(whole) == kZstdFrameMagic || IsSkippableMagic(Load32(whole));
  };
  return goes_on_as(kZstdFrameMagic) || goes_on_as(kMetadataFrameMagic);
}

std::optional<uint64_t> FindMetadataFrame(const SegmentFile& file,
                                          uint64_t offset, uint64_t limit) {
  return Search(file, offset, limit, [&](uint32_t magic, uint64_t at) {
    return IsMetadata(file, magic, at, limit);
  });
}

std::optional<uint64_t> FindFrame(const SegmentFile& file, uint64_t offset,
                                  uint64_t limit) {
  return Search(file, offset, limit, [&](uint32_t magic, uint64_t at) {
    if (magic != kZstdFrameMagic) return IsMetadata(file, magic, at, limit);
    const absl::StatusOr<FrameExtent> extent = WalkFrame(file, at, limit);
    return extent.ok() &&
           (!extent->is_complete || IsFrameBoundary(file, extent->end, limit));
  });
}

}  // namespace ringlog
