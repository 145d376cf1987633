// Finding the next frame in bytes that make no sense.

#ifndef RINGLOG_COMPRESS_FRAME_SEARCH_H_
#define RINGLOG_COMPRESS_FRAME_SEARCH_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment_file.h"
#include "ringlog/compress/segment_format.h"

namespace ringlog {

// The metadata frame at `offset` of `file`; `*end` gets where it ends.
//   NotFound: there is none
//   others:   those of DecodeMetadataPayload(), and of read(2)
absl::StatusOr<FrameMetadata> ReadMetadataFrame(const SegmentFile& file,
                                                uint64_t offset, uint64_t limit,
                                                uint64_t* end);

// Whether a frame begins at `offset`, or the file ends there.
bool IsFrameBoundary(const SegmentFile& file, uint64_t offset, uint64_t limit);

// The first metadata frame that is whole, at or behind `offset`.
std::optional<uint64_t> FindMetadataFrame(const SegmentFile& file,
                                          uint64_t offset, uint64_t limit);

// The same, or a zstd frame whose headers lead to its end or to the limit.
std::optional<uint64_t> FindFrame(const SegmentFile& file, uint64_t offset,
                                  uint64_t limit);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FRAME_SEARCH_H_
