// Format of the bytes of a segment next to its zstd frames: the metadata frame
// after each zstd frame, and the seek table. Format of the persist cursor's
// state for a ring with segments. compress/FORMAT.md describes all of them.

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
#include "ringlog/compress/log_options.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

using RingId = std::array<uint8_t, 16>;

// Returns the ring id in a header.
RingId RingIdOf(const RingHeader& header);

// A skippable frame of zstd begins with a magic and the number of payload
// bytes, four bytes each.
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

// Identifies a segment. Every metadata frame of the segment contains it.
struct SegmentIdentity {
  RingId ring_id = {};
  uint64_t number = 1;  // the ring's first segment is number 1
  LineFormat format = LineFormat::kText;
  // Recovery, not the process that logged the records, wrote the segment. In
  // the metadata of a frame: recovery closed this frame.
  bool is_recovered = false;

  // Returns true if `other` has the same ring and the same number.
  bool IsSameSegment(const SegmentIdentity& other) const {
    return ring_id == other.ring_id && number == other.number;
  }
};

// Summary of the records in one zstd frame; of an open frame, so far.
struct FrameSummary {
  uint64_t first_position = 0;
  // End of the positions, exclusive. Gaps at both ends belong to the range.
  uint64_t end_position = 0;
  // Number of records, by severity.
  std::array<uint64_t, kSeverityCount> records = {};
  // Unix times of the earliest and latest record; 0 if there are no records.
  int64_t min_time_ns = 0;
  int64_t max_time_ns = 0;
  uint64_t text_bytes = 0;  // decompressed

  uint64_t record_count() const;
  // Adds `later`, whose records come right after the ones of this summary.
  void Add(const FrameSummary& later);
};

// Content of a metadata frame.
struct FrameMetadata {
  SegmentIdentity identity;
  // Size of the zstd frame right before the metadata frame.
  uint64_t compressed_bytes = 0;
  // Last four bytes of that zstd frame: the low half of XXH64 of its text. A
  // reader compares them to see that the two frames belong together.
  uint32_t text_checksum = 0;
  FrameSummary summary;
  std::vector<Gap> gaps;   // the first kMaxFrameGaps ones
  uint64_t gap_count = 0;  // number of all gaps
};
inline constexpr size_t kMaxFrameGaps = 256;

// Longest text of a frame; zstd's seekable format cannot represent a longer
// one.
inline constexpr uint64_t kMaxFrameTextBytes = uint64_t{1} << 30;

// Returns the skippable frame, with its header.
std::string EncodeMetadataFrame(const FrameMetadata& metadata);

// Longest payload. Readers ignore a metadata frame that claims to be longer.
inline constexpr size_t kMaxMetadataPayloadBytes = 64 << 10;

// Decodes the payload of a metadata frame, without the skippable frame's
// header. Ignores fields that a later minor version added.
//   NotFound:      a skippable frame of another program
//   DataLoss:      a metadata frame, but damaged
//   Unimplemented: a metadata frame of a later major version
absl::StatusOr<FrameMetadata> DecodeMetadataPayload(absl::string_view payload);

// An entry of the seek table. Skippable frames have an entry, too, with
// decompressed_bytes 0, because the reference decoder adds up the sizes of all
// frames.
struct SeekEntry {
  uint32_t compressed_bytes = 0;
  uint32_t decompressed_bytes = 0;
};

// Returns true if EncodeMetadataFrame() makes payloads of this length.
bool IsMetadataPayloadLength(uint64_t bytes);

// Returns true if a payload that begins with these kMetadataIdentityBytes bytes
// is the one of this segment. Does not check the checksum.
inline constexpr size_t kMetadataIdentityBytes = 40;
bool IsMetadataOf(absl::string_view payload, const RingId& ring_id,
                  uint64_t segment_number);

// Adds the entries of a zstd frame and of the metadata frame after it.
void AddSeekEntries(uint64_t compressed_bytes, uint64_t text_bytes,
                    uint64_t metadata_bytes, std::vector<SeekEntry>* entries);

// Returns the seek table, as a skippable frame.
std::string EncodeSeekTableFrame(const std::vector<SeekEntry>& entries);

// Content of PersistCursor::state in a ring whose flusher writes segments.
struct SegmentCursor {
  // Number of the last segment; 0 before the first one.
  uint64_t segment_number = 0;
  // Unix time that is part of the segment's name.
  int64_t segment_open_time_ns = 0;
  // Random number that is part of the segment's name if another file had the
  // name without it; otherwise 0.
  uint32_t name_salt = 0;
  // Published bytes of the segment. The ring still has the records of all later
  // bytes. 0: the segment is named, but nothing in it counts yet.
  uint64_t segment_bytes = 0;
  // Offset of the open frame; segment_bytes if no frame is open.
  uint64_t frame_offset = 0;
  // CRC-32C of the bytes of the open frame. zstd's own checksum exists only at
  // the end of a frame.
  absl::crc32c_t open_frame_checksum{0};
  LineFormat format = LineFormat::kText;
  FrameSummary open_frame;         // up to segment_bytes
  DropCounts reported_drops = {};  // drops that have gaps in the segments

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

// Returns at most sizeof(PersistCursor::state) bytes.
std::string EncodeSegmentCursor(const SegmentCursor& cursor);
// Decodes the state of a persist cursor. Requires: the caller has checked the
// cursor's checksum. Ignores fields that a later minor version added.
//   DataLoss:      no such state, or its fields contradict each other, or those
//                  of the cursor
//   Unimplemented: a state of a later major version
absl::StatusOr<SegmentCursor> DecodeSegmentCursor(absl::string_view state);
absl::StatusOr<SegmentCursor> DecodeSegmentCursor(const PersistCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_FORMAT_H_
