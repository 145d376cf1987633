#include "ringlog/ring/recovery.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/slot.h"

namespace ringlog {
namespace {

// Trivially copyable structs out of bytes that need not be aligned. What is
// behind the end of `bytes` is zero.
template <typename T>
T CopyOut(absl::string_view bytes) {
  T value = {};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

bool IsPowerOfTwo(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

bool IsPlausible(const RingHeader& h) {
  return h.header_bytes >= sizeof(RingHeader) && h.header_bytes <= 4096 &&
         h.slot_count >= kMinSlotCount && h.slot_count <= kMaxSlotCount &&
         IsPowerOfTwo(h.slot_count) && h.head_bytes <= kMaxHeadBytes &&
         h.body_bytes <= kMaxBodyBytes + kCacheLineBytes &&
         h.slot_bytes % kCacheLineBytes == 0 &&
         h.slot_bytes >=
             sizeof(SlotHeader) + uint64_t{h.head_bytes} + h.body_bytes &&
         h.slot_bytes <= kMaxHeadBytes + kMaxBodyBytes + 1024 &&
         h.first_position >= 1 && h.first_position <= kMaxFirstPosition &&
         h.live_offset % kCacheLineBytes == 0 &&
         h.slots_offset % kCacheLineBytes == 0 && h.live_offset >= 4096 &&
         h.slots_offset >= h.live_offset + sizeof(RingLive) &&
         h.slots_offset <= kMaxRingFileBytes &&
         h.file_bytes == h.slots_offset + h.slot_count * h.slot_bytes;
}

bool IsCommitted(SlotClass c) {
  return c == SlotClass::kPart || c == SlotClass::kAbandoned ||
         c == SlotClass::kBadChecksum;
}

}  // namespace

SlotGeometry GeometryOf(const RingHeader& header) {
  SlotGeometry geometry;
  geometry.slot_count = header.slot_count;
  geometry.slot_bytes = header.slot_bytes;
  geometry.head_bytes = header.head_bytes;
  return geometry;
}

ClassifiedSlot ClassifySlot(absl::string_view slot, uint64_t index,
                            const SlotGeometry& geometry, absl::crc32c_t seed) {
  ClassifiedSlot result;
  const auto header = CopyOut<SlotHeader>(slot);
  if (header.word == 0) return result;
  result.position = WordPosition(header.word);
  if ((result.position & (geometry.slot_count - 1)) != index) {
    result.slot_class = SlotClass::kImplausible;
    return result;
  }
  switch (WordState(header.word)) {
    case SlotState::kFree:
      result.slot_class = SlotClass::kFree;
      return result;
    case SlotState::kFilling:
      result.slot_class = SlotClass::kUnfinished;
      return result;
    case SlotState::kSkipped:
      result.slot_class = SlotClass::kSkipped;
      return result;
    case SlotState::kFilled:
    case SlotState::kPersisting:
      break;
    default:
      result.slot_class = SlotClass::kImplausible;
      return result;
  }
  // The lengths have to be bounded before the checksum can be asked; nothing
  // else is believed before it.
  result.slot_class = SlotClass::kBadChecksum;
  const uint64_t payload_bytes =
      uint64_t{header.head_bytes} + header.body_bytes;
  if (header.head_bytes > geometry.head_bytes ||
      payload_bytes > slot.size() - sizeof header) {
    return result;
  }
  if (SlotChecksum(seed, slot.data(), payload_bytes) !=
          absl::crc32c_t{header.crc32c} ||
      header.position != result.position) {
    return result;
  }
  if (header.part_index != 0 && header.part_index >= header.part_count) {
    return result;
  }
  result.header = header;
  result.slot_class =
      header.part_count == 0 ? SlotClass::kAbandoned : SlotClass::kPart;
  result.payload = slot.substr(sizeof header, payload_bytes);
  return result;
}

AssembledRecord AssembleRecord(
    uint64_t position, const SlotGeometry& geometry, absl::crc32c_t seed,
    absl::FunctionRef<absl::string_view(uint64_t position)> slot_at,
    std::string* buffer) {
  const auto classify = [&](uint64_t p) {
    return ClassifySlot(slot_at(p), p & (geometry.slot_count - 1), geometry,
                        seed);
  };
  AssembledRecord record;
  const ClassifiedSlot first = classify(position);
  if (first.slot_class == SlotClass::kBadChecksum) {
    record.outcome = AssembledRecord::kGap;
    record.cause = GapCause::kChecksumMismatch;
    return record;
  }
  if (first.slot_class != SlotClass::kPart || first.header.part_index != 0) {
    return record;
  }
  record.outcome = AssembledRecord::kRecord;
  record.slot_count = first.header.part_count;
  record.head = first.payload.substr(0, first.header.head_bytes);
  record.body = first.payload.substr(first.header.head_bytes);
  if (record.slot_count == 1) return record;

  buffer->assign(record.body.data(), record.body.size());
  for (uint32_t i = 1; i < record.slot_count; ++i) {
    const ClassifiedSlot part = classify(position + i);
    if (part.slot_class == SlotClass::kPart && part.position == position + i &&
        part.header.part_index == i &&
        part.header.part_count == record.slot_count) {
      buffer->append(part.payload.data(), part.payload.size());
      continue;
    }
    record.outcome = AssembledRecord::kGap;
    record.cause = part.slot_class == SlotClass::kBadChecksum
                       ? GapCause::kChecksumMismatch
                       : GapCause::kMissing;
    record.head = record.body = {};
    return record;
  }
  record.body = *buffer;
  return record;
}

absl::StatusOr<RingHeader> ParseRingHeader(absl::string_view file) {
  const size_t magic_bytes = std::min(file.size(), sizeof kRingMagic);
  if (file.empty() || std::memcmp(file.data(), kRingMagic, magic_bytes) != 0) {
    return absl::InvalidArgumentError(
        "not a ring file: it does not begin with the magic number");
  }
  if (file.size() < sizeof(RingHeader)) {
    return absl::DataLossError(
        absl::StrCat("ring header cut off: ", file.size(), " bytes of ",
                     sizeof(RingHeader)));
  }
  const auto header = CopyOut<RingHeader>(file);
  if (header.endian_mark == __builtin_bswap32(kRingEndianMark)) {
    return absl::UnimplementedError(
        "ring file of a machine with the other byte order");
  }
  if (header.major_version > kRingMajorVersion) {
    return absl::UnimplementedError(
        absl::StrCat("ring file of version ", header.major_version, ".",
                     header.minor_version, "; this program reads up to ",
                     kRingMajorVersion, ".x"));
  }
  if (header.crc32c != RingHeaderChecksum(header) ||
      header.endian_mark != kRingEndianMark || !IsPlausible(header)) {
    return absl::DataLossError(
        "ring header damaged: its checksum does not fit");
  }
  if ((header.incompatible_flags & ~kRingKnownIncompatibleFlags) != 0) {
    return absl::UnimplementedError(
        absl::StrCat("ring file with features ",
                     absl::Hex(header.incompatible_flags, absl::kZeroPad8),
                     " that this program does not know"));
  }
  return header;
}

uint32_t RingHeaderChecksum(const RingHeader& header) {
  return static_cast<uint32_t>(absl::ComputeCrc32c(absl::string_view(
      reinterpret_cast<const char*>(&header), offsetof(RingHeader, crc32c))));
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
  const auto is_valid = [&](const PersistCursor& cursor) {
    return cursor.sequence != 0 && cursor.state_bytes <= sizeof cursor.state &&
           cursor.crc32c ==
               PersistCursorChecksum(ChecksumSeed(header.ring_id), cursor);
  };
  // After a kill the selected one is whole. After a power cut the pages are of
  // different times, and then the later one that is whole counts.
  const PersistCursor& selected = live.cursor[live.cursor_selector & 1];
  const PersistCursor& other = live.cursor[1 - (live.cursor_selector & 1)];
  if (is_valid(selected)) return selected;
  if (is_valid(other)) return other;
  return PersistCursor{};
}

namespace {

// The work of RecoverRing: what it knows of a file while it goes through it.
class Recovery {
 public:
  Recovery(absl::string_view file, const RingHeader& header, RecoverFrom from)
      : file_(file),
        from_(from),
        geometry_(GeometryOf(header)),
        seed_(ChecksumSeed(header.ring_id)) {
    result_.header = header;
    const absl::string_view live =
        file.substr(std::min<uint64_t>(file.size(), header.live_offset));
    result_.live = CopyOut<RingLive>(live);
    result_.cursor = ParsePersistCursor(live, header);
  }

  RecoveredRing Run() {
    FindBounds();
    for (uint64_t p = begin_; p < end_;) p += Visit(p);
    result_.end_position = end_;
    return std::move(result_);
  }

 private:
  // Empty if the file ends before the slot does.
  absl::string_view SlotAt(uint64_t position) const {
    const uint64_t offset =
        result_.header.slots_offset +
        (position & (geometry_.slot_count - 1)) * geometry_.slot_bytes;
    if (offset + geometry_.slot_bytes > file_.size()) return {};
    return file_.substr(offset, geometry_.slot_bytes);
  }
  ClassifiedSlot Classify(uint64_t position) const {
    const absl::string_view slot = SlotAt(position);
    if (slot.empty()) return {};
    return ClassifySlot(slot, position & (geometry_.slot_count - 1), geometry_,
                        seed_);
  }

  void Count(const ClassifiedSlot& slot, uint64_t word) {
    SlotCounts& n = result_.slots;
    switch (slot.slot_class) {
      case SlotClass::kNeverUsed:
        ++n.never_used;
        break;
      case SlotClass::kFree:
        ++n.free;
        break;
      case SlotClass::kUnfinished:
        ++n.filling;
        break;
      case SlotClass::kPart:
      case SlotClass::kAbandoned:
        ++(WordState(word) == SlotState::kFilled ? n.filled : n.persisting);
        break;
      case SlotClass::kSkipped:
        ++n.skipped;
        break;
      case SlotClass::kBadChecksum:
      case SlotClass::kImplausible:
        ++n.damaged;
        break;
    }
  }

  // Which positions to go through. The words of slots that hold no record have
  // no checksum, and a damaged one can name any position: so what they say
  // counts only as far as the ring can have got, which is one turn from the
  // lowest record that it holds.
  void FindBounds() {
    const uint64_t cursor =
        std::max(result_.header.first_position, result_.cursor.end_position);
    uint64_t highest = cursor;
    uint64_t lowest_held = std::numeric_limits<uint64_t>::max();
    uint64_t highest_held = cursor;
    for (uint64_t i = 0; i < geometry_.slot_count; ++i) {
      if (SlotAt(i).empty()) {
        ++result_.slots.absent;
        continue;
      }
      const ClassifiedSlot slot = Classify(i);
      Count(slot, CopyOut<uint64_t>(SlotAt(i)));
      if (slot.slot_class == SlotClass::kNeverUsed ||
          slot.slot_class == SlotClass::kImplausible) {
        continue;
      }
      highest = std::max(highest, slot.position + 1);
      if (slot.slot_class == SlotClass::kPart ||
          slot.slot_class == SlotClass::kAbandoned) {
        lowest_held = std::min(lowest_held, slot.position);
        highest_held = std::max(highest_held, slot.position + 1);
      }
    }
    const bool holds_any = lowest_held <= highest_held;
    const uint64_t lowest = holds_any ? lowest_held : cursor;
    end_ = std::max(highest_held,
                    std::min(highest, lowest + geometry_.slot_count));
    begin_ = from_ == RecoverFrom::kCursor ? cursor : lowest;
    gaps_from_ = std::max(cursor, Released(lowest));
    if (end_ > geometry_.slot_count) {
      begin_ = std::max(begin_, end_ - geometry_.slot_count);
    }
  }

  // A ring whose consumer publishes no cursor still says what it has released;
  // believed as far as it agrees with the slots.
  uint64_t Released(uint64_t lowest) const {
    return result_.cursor.sequence == 0 && result_.live.released <= lowest
               ? result_.live.released
               : 0;
  }

  void AddGap(uint64_t position, uint64_t count, GapCause cause) {
    if (position < gaps_from_) return;
    if (!result_.gaps.empty() && result_.gaps.back().cause == cause &&
        result_.gaps.back().end_position == position) {
      result_.gaps.back().end_position += count;
      return;
    }
    Gap gap;
    gap.cause = cause;
    gap.first_position = position;
    gap.end_position = position + count;
    result_.gaps.push_back(gap);
  }

  // Takes in what position `p` holds; returns how many positions that is.
  uint64_t Visit(uint64_t p) {
    if (SlotAt(p).empty()) {
      AddGap(p, 1, GapCause::kMissing);
      return 1;
    }
    const ClassifiedSlot slot = Classify(p);
    if (slot.slot_class == SlotClass::kImplausible) {
      AddGap(p, 1, GapCause::kMissing);
    } else if (slot.slot_class == SlotClass::kNeverUsed || slot.position != p ||
               slot.slot_class == SlotClass::kUnfinished ||
               slot.slot_class == SlotClass::kSkipped) {
      // Claimed, but the writer had not got to the slot or not done with it.
      AddGap(p, 1, GapCause::kUnfinished);
    } else if (IsCommitted(slot.slot_class)) {
      return Assemble(p);
    }
    return 1;
  }

  uint64_t Assemble(uint64_t p) {
    std::string buffer;
    const AssembledRecord record = AssembleRecord(
        p, geometry_, seed_, [this](uint64_t q) { return SlotAt(q); }, &buffer);
    if (record.outcome == AssembledRecord::kGap) {
      AddGap(p, record.slot_count, record.cause);
    } else if (record.outcome == AssembledRecord::kRecord) {
      RecoveredRecord recovered;
      recovered.position = p;
      recovered.slot_count = record.slot_count;
      recovered.head = record.head;
      recovered.body = record.body;
      if (record.slot_count > 1) {
        result_.assembled.push_back(std::move(buffer));
        recovered.body = result_.assembled.back();
      }
      result_.records.push_back(recovered);
    }
    return record.slot_count;
  }

  const absl::string_view file_;
  const RecoverFrom from_;
  const SlotGeometry geometry_;
  const absl::crc32c_t seed_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  uint64_t gaps_from_ = 0;
  RecoveredRing result_;
};

}  // namespace

absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from) {
  absl::StatusOr<RingHeader> header = ParseRingHeader(file);
  if (!header.ok()) return header.status();
  return Recovery(file, *header, from).Run();
}

}  // namespace ringlog
