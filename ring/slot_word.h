// Packing of a slot's word, and the checksum of a slot.

#ifndef RINGLOG_RING_SLOT_WORD_H_
#define RINGLOG_RING_SLOT_WORD_H_

#include <cstddef>
#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Positions [position, position + slot_count).
struct SlotRange {
  uint64_t position = 0;
  uint32_t slot_count = 0;
  uint64_t end() const { return position + slot_count; }
};

constexpr uint64_t PackWord(uint64_t position, SlotState state) {
  return position << kSlotStateBits | static_cast<uint64_t>(state);
}
constexpr uint64_t WordPosition(uint64_t word) {
  return word >> kSlotStateBits;
}
// Returns the state in `word`; an untrusted word may yield a value that is no
// enumerator.
constexpr SlotState WordState(uint64_t word) {
  return static_cast<SlotState>(word & kSlotStateMask);
}

// Returns the seed of all checksums of a ring. With the ring id in the seed,
// content of another ring in reused disk blocks does not match.
inline absl::crc32c_t ChecksumSeed(const uint8_t (&ring_id)[16]) {
  return absl::ComputeCrc32c(absl::string_view(
      reinterpret_cast<const char*>(ring_id), sizeof ring_id));
}

// Returns the checksum of a slot that has `payload_bytes` of payload: of all
// bytes from part_index on.
inline absl::crc32c_t SlotChecksum(absl::crc32c_t seed, const void* slot,
                                   size_t payload_bytes) {
  constexpr size_t kBegin = offsetof(SlotHeader, part_index);
  return absl::ExtendCrc32c(
      seed, absl::string_view(static_cast<const char*>(slot) + kBegin,
                              sizeof(SlotHeader) - kBegin + payload_bytes));
}

// Returns the checksum of a slot whose header is not in the slot yet.
inline absl::crc32c_t SlotChecksum(absl::crc32c_t seed,
                                   const SlotHeader& header,
                                   absl::string_view payload) {
  return absl::ExtendCrc32c(SlotChecksum(seed, &header, 0), payload);
}

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_WORD_H_
