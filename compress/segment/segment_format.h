// The bytes of a segment beside its zstd frames, as compress/FORMAT.md
// describes them: the metadata frame after each zstd frame, the seek table, and
// the part of the persist cursor that says how far a segment has got.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_FORMAT_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

using RingId = std::array<uint8_t, 16>;

RingId RingIdOf(const RingHeader& header);

// Skippable frames begin with a magic of zstd's and the length of what follows,
// four bytes each.
inline constexpr uint32_t kMetadataFrameMagic = 0x184D2A57;
inline constexpr uint32_t kSeekTableFrameMagic =
    0x184D2A5E;  // zstd's seekable format 0.1.0
inline constexpr uint32_t kSeekTableFooterMagic =
    0x8F92EAB1;  // its last four bytes
inline constexpr size_t kSkippableHeaderBytes = 8;

inline constexpr unsigned char kMetadataMagic[8] = {0x89, 'R', 'L', 'O',
                                                    'G',  'M', 'E', 'T'};
inline constexpr uint16_t kSegmentMajorVersion = 1;
inline constexpr uint16_t kSegmentMinorVersion = 0;

// Which segment it is. Every metadata frame says it.
struct SegmentIdentity {
  RingId ring_id = {};
  uint64_t number = 1;
  LineFormat format = LineFormat::kText;
  bool recovered = false;  // all of it is written by recovery
};

// What one zstd frame of records holds, or, while it is being written, has held
// so far.
struct FrameSummary {
  uint64_t first_position = 0;
  // One past the last; gaps at either side belong to the range.
  uint64_t end_position = 0;
  std::array<uint64_t, kSeverityCount> records = {};
  int64_t min_time_ns = 0;  // of the records; both 0 if there are none
  int64_t max_time_ns = 0;
  uint64_t text_bytes = 0;  // decompressed

  uint64_t record_count() const;
  // Takes in `later`, which comes right after this one.
  void Add(const FrameSummary& later);
};

// The metadata frame.
struct FrameMetadata {
  RingId ring_id = {};
  uint64_t segment_number = 0;
  LineFormat format = LineFormat::kText;
  // Closed by recovery, not by the process that logged it.
  bool recovered = false;
  uint64_t compressed_bytes = 0;  // of the zstd frame right before this one
  // The frame's last four bytes: the low half of XXH64 of its text. Says that
  // the two belong together.
  uint32_t text_checksum = 0;
  FrameSummary summary;
  std::vector<Gap> gaps;  // at most kMaxFrameGaps; `gap_count` has them all
  uint64_t gap_count = 0;
};
inline constexpr size_t kMaxFrameGaps = 256;

// A frame's text may not be longer: zstd's seekable format has no room for it.
inline constexpr uint64_t kMaxFrameTextBytes = uint64_t{1} << 30;

// The whole skippable frame, header included.
std::string EncodeMetadataFrame(const FrameMetadata& metadata);

// No payload is longer: readers pass over what claims to be.
inline constexpr size_t kMaxMetadataPayloadBytes = 64 << 10;

// `payload` is what follows the skippable frame's header. What a later minor
// version has added to it is ignored.
//   NotFound:      somebody else's skippable frame
//   DataLoss:      ours, but damaged
//   Unimplemented: ours, of a later major version
absl::StatusOr<FrameMetadata> DecodeMetadataPayload(absl::string_view payload);

// A seek table entry; skippable frames have one too, with decompressed_bytes 0,
// or the reference decoder would miss its mark.
struct SeekEntry {
  uint32_t compressed_bytes = 0;
  uint32_t decompressed_bytes = 0;
};

// Whether EncodeMetadataFrame() makes payloads of this length.
bool IsMetadataPayloadLength(uint64_t bytes);

// Whether a payload that begins with these kMetadataIdentityBytes says that it
// is of this segment. Its checksum is not looked at.
inline constexpr size_t kMetadataIdentityBytes = 40;
bool IsMetadataOf(absl::string_view payload, const RingId& ring_id,
                  uint64_t segment_number);

std::string EncodeSeekTableFrame(const std::vector<SeekEntry>& entries);

// PersistCursor::state of a ring whose flusher writes segments.
struct SegmentCursor {
  uint64_t segment_number = 0;  // 0: none has been begun
  // Gives the segment's name, together with the number and the ring.
  int64_t segment_open_time_ns = 0;
  // What is behind this in the file is also still in the ring.
  uint64_t segment_bytes = 0;
  // Of the frame that is open at segment_bytes; == segment_bytes if none is.
  uint64_t frame_offset = 0;
  // Of the bytes between the two, as they were written. zstd's own checksum of
  // the frame is not there before its end.
  absl::crc32c_t open_frame_checksum{0};
  LineFormat format = LineFormat::kText;
  FrameSummary open_frame;         // of the open frame up to here
  DropCounts reported_drops = {};  // the drops that the log already tells of

  // True if segment_number names a segment of which bytes were published.
  bool names_started_segment() const { return segment_bytes != 0; }
  // True if segment_number names a segment that is next: its file may not exist
  // yet, and nothing in it counts.
  bool names_unstarted_segment() const {
    return segment_number != 0 && segment_bytes == 0;
  }
  // Number of the last segment of which bytes were published; 0 if none.
  uint64_t last_started_segment() const {
    return names_unstarted_segment() ? segment_number - 1 : segment_number;
  }
};

// At most sizeof(PersistCursor::state) bytes.
std::string EncodeSegmentCursor(const SegmentCursor& cursor);
// The persist cursor's checksum has been checked by whoever found it. What a
// later minor version has added is ignored.
//   DataLoss:      not what EncodeSegmentCursor writes
//   Unimplemented: of a later major version
absl::StatusOr<SegmentCursor> DecodeSegmentCursor(absl::string_view state);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_FORMAT_H_
