#include "ringlog/ring/slot_reader.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "ringlog/ring/copy_out.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

size_t PayloadBytes(const SlotHeader& header) {
  return size_t{header.head_bytes} + header.body_bytes;
}

// Bounds the lengths before computing the checksum. No other field is used
// before the checksum matches.
bool ChecksumMatches(const SlotHeader& header, absl::string_view slot,
                     const SlotGeometry& geometry, absl::crc32c_t seed) {
  return header.head_bytes <= geometry.head_bytes &&
         sizeof header + PayloadBytes(header) <= slot.size() &&
         SlotChecksum(seed, slot.data(), PayloadBytes(header)) ==
             absl::crc32c_t{header.crc32c};
}

ClassifiedSlot ClassifyAt(uint64_t position, const SlotGeometry& geometry,
                          absl::crc32c_t seed, SlotAt slot_at) {
  return ClassifySlot(slot_at(position), position & (geometry.slot_count - 1),
                      geometry, seed);
}

// Returns true if the slot has part `index` of the record of `part_count`
// parts, which is at position `p`.
bool IsPart(const ClassifiedSlot& slot, uint64_t p, uint32_t index,
            uint32_t part_count) {
  return slot.slot_class == SlotClass::kPart && slot.position == p &&
         slot.header.part_index == index &&
         slot.header.part_count == part_count;
}

// Returns true if position `p` has another record, or another claim, than the
// one of that part.
bool IsOfOtherRecord(const ClassifiedSlot& slot, uint64_t p, uint32_t index,
                     uint32_t part_count) {
  const bool is_claimed = slot.slot_class == SlotClass::kFilling ||
                          slot.slot_class == SlotClass::kAbandoned ||
                          slot.slot_class == SlotClass::kPart;
  return is_claimed && slot.position == p &&
         !IsPart(slot, p, index, part_count);
}

// Returns the number of positions of a damaged record at `position`, of which
// `intact_parts` parts are intact. If the tail was lost too, the positions of
// lost parts were used again.
uint32_t PositionsOfGap(uint64_t position, uint32_t intact_parts,
                        uint32_t part_count, const SlotGeometry& geometry,
                        absl::crc32c_t seed, SlotAt slot_at) {
  uint32_t end = intact_parts;
  while (end < part_count &&
         !IsOfOtherRecord(ClassifyAt(position + end, geometry, seed, slot_at),
                          position + end, end, part_count)) {
    ++end;
  }
  return end;
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
  const SlotHeader header = CopyOut<SlotHeader>(slot);
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
      result.slot_class = SlotClass::kFilling;
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
  // A matching checksum does not prove honest content. The bounds that callers
  // rely on are checked too.
  if (!ChecksumMatches(header, slot, geometry, seed) ||
      header.position != result.position ||
      header.part_count > geometry.slot_count ||
      (header.part_index != 0 && header.part_index >= header.part_count)) {
    result.slot_class = SlotClass::kMismatched;
    return result;
  }
  result.header = header;
  if (header.part_count == 0) {
    result.slot_class = SlotClass::kAbandoned;
    return result;
  }
  result.slot_class = SlotClass::kPart;
  result.payload = slot.substr(sizeof header, PayloadBytes(header));
  return result;
}

std::optional<uint64_t> ContentPosition(absl::string_view slot,
                                        const SlotGeometry& geometry,
                                        absl::crc32c_t seed) {
  const SlotHeader header = CopyOut<SlotHeader>(slot);
  if (header.position == 0 || header.position > kMaxPosition ||
      !ChecksumMatches(header, slot, geometry, seed)) {
    return std::nullopt;
  }
  return header.position;
}

AssembledRecord AssembleRecord(uint64_t position, const SlotGeometry& geometry,
                               absl::crc32c_t seed, SlotAt slot_at,
                               std::string* buffer) {
  const ClassifiedSlot first = ClassifyAt(position, geometry, seed, slot_at);
  return AssembleRecord(first, position, geometry, seed, slot_at,
                        std::numeric_limits<size_t>::max(), buffer);
}

AssembledRecord AssembleRecord(const ClassifiedSlot& first, uint64_t position,
                               const SlotGeometry& geometry,
                               absl::crc32c_t seed, SlotAt slot_at,
                               size_t max_body_bytes, std::string* buffer) {
  AssembledRecord record;
  if (first.slot_class == SlotClass::kMismatched) {
    record.outcome = AssembledRecord::kGap;
    record.cause = GapCause::kChecksumMismatch;
    return record;
  }
  if (first.slot_class != SlotClass::kPart || first.header.part_index != 0) {
    return record;
  }
  record.outcome = AssembledRecord::kRecord;
  record.slot_count = first.header.part_count;
  const size_t head_bytes = first.header.head_bytes;
  record.head = first.payload.substr(0, head_bytes);
  record.body = first.payload.substr(head_bytes);
  if (record.slot_count == 1) return record;

  buffer->clear();
  // Growth in steps takes several times as much memory.
  buffer->reserve(head_bytes +
                  std::min({max_body_bytes, size_t{kMaxBodyBytes},
                            record.slot_count * first.payload.size()}));
  buffer->append(first.payload.data(), first.payload.size());
  const uint32_t part_count = record.slot_count;
  for (uint32_t i = 1; i < part_count; ++i) {
    const ClassifiedSlot part =
        ClassifyAt(position + i, geometry, seed, slot_at);
    if (IsPart(part, position + i, i, part_count)) {
      const size_t body_bytes = buffer->size() - head_bytes;
      const size_t room = max_body_bytes - std::min(max_body_bytes, body_bytes);
      buffer->append(part.payload.data(), std::min(part.payload.size(), room));
      continue;
    }
    record.outcome = AssembledRecord::kGap;
    record.cause = part.slot_class == SlotClass::kMismatched
                       ? GapCause::kChecksumMismatch
                       : GapCause::kMissing;
    record.head = record.body = {};
    record.slot_count =
        PositionsOfGap(position, i, part_count, geometry, seed, slot_at);
    return record;
  }
  record.head = absl::string_view(*buffer).substr(0, head_bytes);
  record.body = absl::string_view(*buffer).substr(head_bytes);
  return record;
}

}  // namespace ringlog
