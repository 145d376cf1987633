#include "ringlog/ring/ring_header.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/copy_out.h"
#include "ringlog/ring/fnv1a.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

bool IsPowerOfTwo(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

bool SlotsArePlausible(const RingHeader& h) {
  return h.slot_count >= kMinSlotCount && h.slot_count <= kMaxSlotCount &&
         IsPowerOfTwo(h.slot_count) && h.head_bytes <= kMaxHeadBytes &&
         h.body_bytes <= kMaxBodyBytes + kCacheLineBytes &&
         h.slot_bytes % kCacheLineBytes == 0 &&
         h.slot_bytes >=
             sizeof(SlotHeader) + uint64_t{h.head_bytes} + h.body_bytes &&
         h.slot_bytes <= kMaxHeadBytes + kMaxBodyBytes + 1024 &&
         h.first_position >= 1 && h.first_position <= kMaxFirstPosition;
}

// Bounds each offset before it is used in a sum.
bool OffsetsArePlausible(const RingHeader& h) {
  return h.slots_offset <= kMaxRingFileBytes &&
         h.slots_offset % kCacheLineBytes == 0 &&
         h.live_offset >= kRingHeaderAreaBytes &&
         h.live_offset <= h.slots_offset &&
         h.live_offset % kCacheLineBytes == 0 &&
         h.live_offset + sizeof(RingLive) <= h.slots_offset &&
         h.crash_bytes <= kMaxCrashBytes && h.crash_offset <= h.slots_offset &&
         h.crash_offset >= kRingHeaderAreaBytes &&
         h.crash_offset + h.crash_bytes <= h.slots_offset &&
         h.file_bytes == h.slots_offset + h.slot_count * h.slot_bytes;
}

// Accepts headers of this and of later minor versions, which may be longer.
bool ChecksumMatches(absl::string_view bytes, const RingHeader& header) {
  if (header.header_bytes < sizeof(RingHeader) ||
      header.header_bytes > kRingHeaderCopyOffset ||
      header.header_bytes > bytes.size()) {
    return false;
  }
  const size_t covered = header.header_bytes - sizeof(uint32_t);
  return absl::ComputeCrc32c(bytes.substr(0, covered)) ==
         absl::crc32c_t{CopyOut<uint32_t>(bytes.substr(covered))};
}

absl::StatusOr<RingHeader> ParseOne(absl::string_view bytes) {
  const size_t magic_bytes = std::min(bytes.size(), sizeof kRingMagic);
  if (bytes.empty() ||
      std::memcmp(bytes.data(), kRingMagic, magic_bytes) != 0) {
    return absl::InvalidArgumentError(
        "not a ring file: it does not begin with the magic number");
  }
  if (bytes.size() < sizeof(RingHeader)) {
    return absl::DataLossError(
        absl::StrCat("ring header truncated: ", bytes.size(), " bytes of ",
                     sizeof(RingHeader)));
  }
  const auto header = CopyOut<RingHeader>(bytes);
  // Version and byte order come before the checksum, because another version or
  // byte order may compute the checksum differently.
  if (header.endian_mark == __builtin_bswap32(kRingEndianMark)) {
    return absl::UnimplementedError("ring file with the other byte order");
  }
  if (header.major_version > kRingMajorVersion) {
    return absl::UnimplementedError(
        absl::StrCat("ring file of version ", header.major_version, ".",
                     header.minor_version, "; this program reads up to ",
                     kRingMajorVersion, ".x"));
  }
  if (!ChecksumMatches(bytes, header)) {
    return absl::DataLossError("ring header damaged: checksum mismatch");
  }
  if ((header.incompatible_flags & ~kRingKnownIncompatibleFlags) != 0) {
    return absl::UnimplementedError(
        absl::StrCat("ring file with unknown features ",
                     absl::Hex(header.incompatible_flags, absl::kZeroPad8)));
  }
  if (header.endian_mark != kRingEndianMark || !SlotsArePlausible(header) ||
      !OffsetsArePlausible(header)) {
    return absl::DataLossError(
        "ring header damaged: the checksum matches, but the fields are "
        "invalid");
  }
  return header;
}

bool IsIntact(const PersistCursor& cursor, const RingHeader& header) {
  return cursor.sequence != 0 && cursor.state_bytes <= sizeof cursor.state &&
         cursor.end_position <= kMaxPosition &&
         cursor.crc32c ==
             PersistCursorChecksum(ChecksumSeed(header.ring_id), cursor);
}

bool IsUnused(const PersistCursor& cursor) {
  const PersistCursor unused = {};
  return std::memcmp(&cursor, &unused, sizeof cursor) == 0;
}

}  // namespace

absl::StatusOr<RingHeader> ParseRingHeader(absl::string_view file) {
  absl::StatusOr<RingHeader> header = ParseOne(file);
  if (header.ok() || file.size() <= kRingHeaderCopyOffset) return header;
  absl::StatusOr<RingHeader> copy =
      ParseOne(file.substr(kRingHeaderCopyOffset));
  if (copy.ok()) return copy;
  // One flipped bit makes a header look like one of a later version. If the
  // copy is of this version, the header is damaged.
  if (absl::IsDataLoss(copy.status()) &&
      !(absl::IsUnimplemented(header.status()) &&
        ChecksumMatches(file, CopyOut<RingHeader>(file)))) {
    return copy;
  }
  return header;
}

RingHeader EmptyRingHeader() {
  RingHeader h = {};
  std::memcpy(h.magic, kRingMagic, sizeof h.magic);
  h.endian_mark = kRingEndianMark;
  h.major_version = kRingMajorVersion;
  h.minor_version = kRingMinorVersion;
  h.header_bytes = sizeof h;
  h.live_offset = kLiveOffset;
  h.crash_offset = kCrashOffset;
  h.crash_bytes = kCrashBytes;
  h.slots_offset = kSlotsOffset;
  return h;
}

ProcessIdentity OwnerOf(const RingHeader& header) {
  ProcessIdentity owner;
  owner.process_id = header.process_id;
  owner.start_ticks = header.process_start_ticks;
  static_assert(sizeof owner.boot_id == sizeof header.boot_id,
                "both are the bytes of a boot id");
  std::memcpy(owner.boot_id.data(), header.boot_id, sizeof header.boot_id);
  return owner;
}

uint32_t RingHeaderChecksum(const RingHeader& header) {
  return static_cast<uint32_t>(absl::ComputeCrc32c(absl::string_view(
      reinterpret_cast<const char*>(&header), offsetof(RingHeader, crc32c))));
}

std::string SegmentDirectoryField(absl::string_view path) {
  constexpr size_t kMaxBytes = sizeof(RingHeader::segment_directory) - 1;
  if (path.size() <= kMaxBytes) return std::string(path);
  const std::string hash =
      absl::StrCat("#", absl::Hex(Fnv1a(path), absl::kZeroPad16), "#");
  return absl::StrCat(hash,
                      path.substr(path.size() - (kMaxBytes - hash.size())));
}

absl::string_view SegmentDirectory(const RingHeader& header) {
  const char* const field = header.segment_directory;
  return {field, strnlen(field, sizeof header.segment_directory)};
}

uint32_t PersistCursorChecksum(absl::crc32c_t seed,
                               const PersistCursor& cursor) {
  return static_cast<uint32_t>(absl::ExtendCrc32c(
      seed, absl::string_view(reinterpret_cast<const char*>(&cursor),
                              offsetof(PersistCursor, crc32c))));
}

PersistCursor ParsePersistCursor(absl::string_view live_bytes,
                                 const RingHeader& header) {
  const auto live = CopyOut<RingLive>(live_bytes);
  // Selects the intact cursor with the greater sequence. Ignores the selector,
  // because:
  // - after a power loss the selector may be older or newer than the cursors;
  // - after a kill just before the selector's store, the unselected cursor is
  //   complete and true.
  const bool valid[2] = {IsIntact(live.cursor[0], header),
                         IsIntact(live.cursor[1], header)};
  if (valid[0] && valid[1]) {
    return live.cursor[live.cursor[1].sequence > live.cursor[0].sequence];
  }
  if (valid[0] || valid[1]) return live.cursor[valid[1]];
  return PersistCursor{};
}

// Checks the selected cursor; an unused one is intact only before the second
// publication.
bool LatestCursorIsDamaged(const RingLive& live, const RingHeader& header) {
  const uint64_t selected = live.cursor_selector & 1;
  if (IsIntact(live.cursor[selected], header)) return false;
  const PersistCursor& other = live.cursor[1 - selected];
  return !IsUnused(live.cursor[selected]) ||
         !(IsUnused(other) || other.sequence == 1);
}

}  // namespace ringlog
