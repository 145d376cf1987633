#include "ringlog/compress/segment/segment_format.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ringlog {
namespace {

// The structs below have the layout of the file: little-endian, no padding.
// Writers set reserved fields to zero, and readers ignore them.

struct MetadataPayload {
  unsigned char magic[8];
  uint16_t major_version;
  uint16_t minor_version;
  uint32_t fixed_bytes;  // size of the writer's struct; offset of the gaps
  uint8_t ring_id[16];
  uint64_t segment_number;
  uint64_t compressed_bytes;
  uint64_t text_bytes;
  uint64_t first_position;
  uint64_t end_position;
  int64_t min_time_ns;
  int64_t max_time_ns;
  uint64_t records[kSeverityCount];
  uint64_t gap_count;
  uint32_t text_checksum;
  uint8_t format;
  uint8_t flags;
  uint16_t gap_bytes;    // size of the writer's PackedGap
  uint32_t listed_gaps;  // number of gaps that follow
  uint32_t reserved;
};
static_assert(sizeof(MetadataPayload) == 144, "frozen in the file format");

struct PackedGap {
  uint64_t first_position;
  uint64_t end_position;
  uint64_t records[kSeverityCount];
  int64_t first_time_ns;
  int64_t last_time_ns;
  uint8_t cause;
  uint8_t reserved[3];
  uint32_t thread_id;  // 0: unknown
};
static_assert(sizeof(PackedGap) == 72, "frozen in the file format");

static_assert(kSkippableHeaderBytes + sizeof(MetadataPayload) +
                      kMaxFrameGaps * sizeof(PackedGap) + 4 <
                  kMaxMetadataPayloadBytes,
              "a reader would ignore the writer's own frames");

constexpr uint8_t kRecoveredFlag = 1;

struct CursorState {
  uint16_t major_version;
  uint16_t minor_version;
  uint8_t format;
  uint8_t reserved[3];
  uint64_t segment_number;
  int64_t segment_open_time_ns;
  uint64_t segment_bytes;
  uint64_t frame_offset;
  uint32_t open_frame_crc32c;
  uint32_t name_salt;
  uint64_t text_bytes;
  uint64_t first_position;
  uint64_t end_position;
  int64_t min_time_ns;
  int64_t max_time_ns;
  uint64_t records[kSeverityCount];
  uint64_t reported_drops[kDropCauseCount][kSeverityCount];
};
static_assert(sizeof(CursorState) == 248, "frozen in the file format");
static_assert(sizeof(CursorState) <= sizeof(PersistCursor::state),
              "the ring has no room for more");

struct SeekTableFooter {
  uint32_t frame_count;
  uint8_t descriptor;  // bit 7: entries have checksums; always 0
  uint8_t magic[4];    // kSeekTableFooterMagic, not aligned
};
static_assert(offsetof(SeekTableFooter, magic) == 5, "as zstd has it");
constexpr size_t kSeekTableFooterBytes = 9;

template <typename Struct>
void AppendStruct(const Struct& bytes, std::string* out) {
  out->append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
}

// Requires: `in` has that many bytes from `offset` on.
template <typename Struct>
Struct StructAt(absl::string_view in, size_t offset) {
  Struct bytes;
  std::memcpy(&bytes, in.data() + offset, sizeof bytes);
  return bytes;
}

void AppendSkippableHeader(uint32_t magic, size_t payload_bytes,
                           std::string* out) {
  AppendStruct(magic, out);
  AppendStruct(static_cast<uint32_t>(payload_bytes), out);
}

// Packs the fields that MetadataPayload and CursorState share.
template <typename Packed>
void PackSummary(const FrameSummary& summary, Packed* out) {
  out->text_bytes = summary.text_bytes;
  out->first_position = summary.first_position;
  out->end_position = summary.end_position;
  out->min_time_ns = summary.min_time_ns;
  out->max_time_ns = summary.max_time_ns;
  std::copy(summary.records.begin(), summary.records.end(), out->records);
}

template <typename Packed>
FrameSummary UnpackSummary(const Packed& in) {
  FrameSummary summary;
  summary.text_bytes = in.text_bytes;
  summary.first_position = in.first_position;
  summary.end_position = in.end_position;
  summary.min_time_ns = in.min_time_ns;
  summary.max_time_ns = in.max_time_ns;
  std::copy(std::begin(in.records), std::end(in.records),
            summary.records.begin());
  return summary;
}

PackedGap PackGap(const Gap& gap) {
  PackedGap packed = {};
  packed.first_position = gap.first_position;
  packed.end_position = gap.end_position;
  std::copy(gap.records.begin(), gap.records.end(), packed.records);
  packed.first_time_ns = gap.first_time_ns;
  packed.last_time_ns = gap.last_time_ns;
  packed.cause = static_cast<uint8_t>(gap.cause);
  packed.thread_id = static_cast<uint32_t>(gap.thread_id);
  return packed;
}

Gap UnpackGap(const PackedGap& packed) {
  Gap gap;
  gap.first_position = packed.first_position;
  gap.end_position = packed.end_position;
  std::copy(std::begin(packed.records), std::end(packed.records),
            gap.records.begin());
  gap.first_time_ns = packed.first_time_ns;
  gap.last_time_ns = packed.last_time_ns;
  gap.thread_id = packed.thread_id;
  // A cause that a later minor version added is a loss of an unknown kind.
  gap.cause = packed.cause > static_cast<uint8_t>(GapCause::kMissing)
                  ? GapCause::kMissing
                  : static_cast<GapCause>(packed.cause);
  return gap;
}

bool IsLineFormat(uint8_t format) {
  return format <= static_cast<uint8_t>(LineFormat::kJson);
}

absl::Status LaterVersion(absl::string_view what, uint16_t major) {
  return absl::UnimplementedError(
      absl::StrCat(what, ": format version ", major, "; this code supports ",
                   kSegmentMajorVersion, " and older ones"));
}

uint32_t Crc32c(absl::string_view bytes) {
  return static_cast<uint32_t>(absl::ComputeCrc32c(bytes));
}

// Returns true if the fields do not contradict each other. `covered_bytes` is
// the number of bytes that the checksum covers.
bool IsConsistent(const MetadataPayload& packed, size_t covered_bytes) {
  return packed.fixed_bytes >= sizeof packed &&
         packed.fixed_bytes <= covered_bytes && IsLineFormat(packed.format) &&
         packed.first_position <= packed.end_position &&
         packed.listed_gaps <=
             std::min<uint64_t>(packed.gap_count, kMaxFrameGaps) &&
         (packed.listed_gaps == 0 || packed.gap_bytes >= sizeof(PackedGap)) &&
         (covered_bytes - packed.fixed_bytes) /
                 std::max<size_t>(packed.gap_bytes, 1) >=
             packed.listed_gaps;
}

}  // namespace

RingId RingIdOf(const RingHeader& header) {
  RingId id;
  static_assert(sizeof header.ring_id == sizeof id, "two types of one id");
  std::memcpy(id.data(), header.ring_id, id.size());
  return id;
}

uint64_t FrameSummary::record_count() const {
  return std::accumulate(records.begin(), records.end(), uint64_t{0});
}

void FrameSummary::Add(const FrameSummary& later) {
  const bool is_first = end_position == 0 && text_bytes == 0;
  if (is_first) first_position = later.first_position;
  end_position = later.end_position;
  if (later.record_count() != 0) {
    const bool has_times = record_count() != 0;
    min_time_ns = has_times ? std::min(min_time_ns, later.min_time_ns)
                            : later.min_time_ns;
    max_time_ns = has_times ? std::max(max_time_ns, later.max_time_ns)
                            : later.max_time_ns;
  }
  for (size_t i = 0; i < records.size(); ++i) records[i] += later.records[i];
  text_bytes += later.text_bytes;
}

std::string EncodeMetadataFrame(const FrameMetadata& metadata) {
  const size_t listed = std::min(metadata.gaps.size(), kMaxFrameGaps);
  MetadataPayload payload = {};
  std::memcpy(payload.magic, kMetadataMagic, sizeof payload.magic);
  payload.major_version = kSegmentMajorVersion;
  payload.minor_version = kSegmentMinorVersion;
  payload.fixed_bytes = sizeof payload;
  const SegmentIdentity& identity = metadata.identity;
  std::copy(identity.ring_id.begin(), identity.ring_id.end(), payload.ring_id);
  payload.segment_number = identity.number;
  payload.compressed_bytes = metadata.compressed_bytes;
  PackSummary(metadata.summary, &payload);
  payload.gap_count = std::max<uint64_t>(metadata.gap_count, listed);
  payload.text_checksum = metadata.text_checksum;
  payload.format = static_cast<uint8_t>(identity.format);
  payload.flags = identity.is_recovered ? kRecoveredFlag : 0;
  payload.gap_bytes = sizeof(PackedGap);
  payload.listed_gaps = static_cast<uint32_t>(listed);

  std::string out;
  AppendSkippableHeader(
      kMetadataFrameMagic,
      sizeof payload + listed * sizeof(PackedGap) + sizeof(uint32_t), &out);
  AppendStruct(payload, &out);
  for (size_t i = 0; i < listed; ++i) {
    AppendStruct(PackGap(metadata.gaps[i]), &out);
  }
  AppendStruct(Crc32c(absl::string_view(out).substr(kSkippableHeaderBytes)),
               &out);
  return out;
}

absl::StatusOr<FrameMetadata> DecodeMetadataPayload(absl::string_view payload) {
  if (payload.size() < sizeof kMetadataMagic ||
      std::memcmp(payload.data(), kMetadataMagic, sizeof kMetadataMagic) != 0) {
    return absl::NotFoundError("not a ringlog metadata frame");
  }
  constexpr size_t kCrcBytes = sizeof(uint32_t);
  // Magic, version and checksum have the same place in every version.
  if (payload.size() < offsetof(MetadataPayload, fixed_bytes) + kCrcBytes ||
      payload.size() > kMaxMetadataPayloadBytes) {
    return absl::DataLossError("metadata frame: impossible length");
  }
  const absl::string_view covered =
      payload.substr(0, payload.size() - kCrcBytes);
  if (Crc32c(covered) != StructAt<uint32_t>(payload, covered.size())) {
    return absl::DataLossError("metadata frame: wrong checksum");
  }
  const auto major =
      StructAt<uint16_t>(payload, offsetof(MetadataPayload, major_version));
  if (major > kSegmentMajorVersion) {
    return LaterVersion("metadata frame", major);
  }
  if (covered.size() < sizeof(MetadataPayload)) {
    return absl::DataLossError("metadata frame: too short");
  }
  const auto packed = StructAt<MetadataPayload>(covered, 0);
  if (!IsConsistent(packed, covered.size())) {
    return absl::DataLossError("metadata frame: contradictory fields");
  }
  FrameMetadata metadata;
  std::copy(std::begin(packed.ring_id), std::end(packed.ring_id),
            metadata.identity.ring_id.begin());
  metadata.identity.number = packed.segment_number;
  metadata.identity.format = static_cast<LineFormat>(packed.format);
  metadata.identity.is_recovered = (packed.flags & kRecoveredFlag) != 0;
  metadata.compressed_bytes = packed.compressed_bytes;
  metadata.text_checksum = packed.text_checksum;
  metadata.summary = UnpackSummary(packed);
  metadata.gap_count = packed.gap_count;
  for (size_t i = 0; i < packed.listed_gaps; ++i) {
    metadata.gaps.push_back(UnpackGap(StructAt<PackedGap>(
        covered, packed.fixed_bytes + i * packed.gap_bytes)));
  }
  return metadata;
}

bool IsMetadataPayloadLength(uint64_t bytes) {
  constexpr uint64_t kLeastBytes = sizeof(MetadataPayload) + sizeof(uint32_t);
  return bytes >= kLeastBytes &&
         (bytes - kLeastBytes) % sizeof(PackedGap) == 0 &&
         (bytes - kLeastBytes) / sizeof(PackedGap) <= kMaxFrameGaps;
}

bool IsMetadataOf(absl::string_view payload, const RingId& ring_id,
                  uint64_t segment_number) {
  constexpr size_t kNumberOffset = offsetof(MetadataPayload, segment_number);
  static_assert(kNumberOffset + sizeof segment_number == kMetadataIdentityBytes,
                "frozen in the file format");
  return payload.size() >= kMetadataIdentityBytes &&
         std::memcmp(payload.data(), kMetadataMagic, sizeof kMetadataMagic) ==
             0 &&
         std::memcmp(payload.data() + offsetof(MetadataPayload, ring_id),
                     ring_id.data(), ring_id.size()) == 0 &&
         StructAt<uint64_t>(payload, kNumberOffset) == segment_number;
}

void AddSeekEntries(uint64_t compressed_bytes, uint64_t text_bytes,
                    uint64_t metadata_bytes, std::vector<SeekEntry>* entries) {
  entries->push_back({static_cast<uint32_t>(compressed_bytes),
                      static_cast<uint32_t>(text_bytes)});
  entries->push_back({static_cast<uint32_t>(metadata_bytes), 0});
}

std::string EncodeSeekTableFrame(const std::vector<SeekEntry>& entries) {
  std::string out;
  out.reserve(kSkippableHeaderBytes + entries.size() * sizeof(SeekEntry) +
              kSeekTableFooterBytes);
  AppendSkippableHeader(
      kSeekTableFrameMagic,
      entries.size() * sizeof(SeekEntry) + kSeekTableFooterBytes, &out);
  for (const SeekEntry& entry : entries) AppendStruct(entry, &out);
  SeekTableFooter footer = {};
  footer.frame_count = static_cast<uint32_t>(entries.size());
  std::memcpy(footer.magic, &kSeekTableFooterMagic, sizeof footer.magic);
  out.append(reinterpret_cast<const char*>(&footer), kSeekTableFooterBytes);
  return out;
}

std::string EncodeSegmentCursor(const SegmentCursor& cursor) {
  CursorState state = {};
  state.major_version = kSegmentMajorVersion;
  state.minor_version = kSegmentMinorVersion;
  state.format = static_cast<uint8_t>(cursor.format);
  state.segment_number = cursor.segment_number;
  state.segment_open_time_ns = cursor.segment_open_time_ns;
  state.segment_bytes = cursor.segment_bytes;
  state.frame_offset = cursor.frame_offset;
  state.open_frame_crc32c = static_cast<uint32_t>(cursor.open_frame_checksum);
  state.name_salt = cursor.name_salt;
  PackSummary(cursor.open_frame, &state);
  static_assert(sizeof state.reported_drops == sizeof cursor.reported_drops);
  std::memcpy(state.reported_drops, cursor.reported_drops.data(),
              sizeof state.reported_drops);
  std::string out;
  AppendStruct(state, &out);
  return out;
}

absl::StatusOr<SegmentCursor> DecodeSegmentCursor(absl::string_view state) {
  if (state.size() < sizeof(uint16_t)) {
    return absl::DataLossError("segment cursor: too short");
  }
  const auto major = StructAt<uint16_t>(state, 0);
  if (major > kSegmentMajorVersion) {
    return LaterVersion("segment cursor", major);
  }
  if (state.size() < sizeof(CursorState)) {
    return absl::DataLossError("segment cursor: too short");
  }
  const auto packed = StructAt<CursorState>(state, 0);
  if (!IsLineFormat(packed.format) || ~packed.segment_number == 0 ||
      packed.frame_offset > packed.segment_bytes ||
      packed.first_position > packed.end_position) {
    return absl::DataLossError("segment cursor: contradictory fields");
  }
  SegmentCursor cursor;
  cursor.segment_number = packed.segment_number;
  cursor.segment_open_time_ns = packed.segment_open_time_ns;
  cursor.segment_bytes = packed.segment_bytes;
  cursor.frame_offset = packed.frame_offset;
  cursor.open_frame_checksum = absl::crc32c_t{packed.open_frame_crc32c};
  cursor.name_salt = packed.name_salt;
  cursor.format = static_cast<LineFormat>(packed.format);
  cursor.open_frame = UnpackSummary(packed);
  std::memcpy(cursor.reported_drops.data(), packed.reported_drops,
              sizeof packed.reported_drops);
  return cursor;
}

absl::StatusOr<SegmentCursor> DecodeSegmentCursor(const PersistCursor& cursor) {
  static_assert(sizeof cursor.state >= sizeof(CursorState));
  auto decoded = DecodeSegmentCursor(absl::string_view(
      reinterpret_cast<const char*>(cursor.state), cursor.state_bytes));
  if (decoded.ok() && decoded->open_frame.end_position > cursor.end_position) {
    return absl::DataLossError("segment cursor: its frame ends above it");
  }
  return decoded;
}

}  // namespace ringlog
