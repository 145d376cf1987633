// Encoding of a slot: its word, its checksum, and atomic access to its header.

#ifndef RINGLOG_RING_SLOT_WORD_H_
#define RINGLOG_RING_SLOT_WORD_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

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

// Returns the word that has `position` and `state`.
constexpr uint64_t PackWord(uint64_t position, SlotState state) {
  return position << kSlotStateBits | static_cast<uint64_t>(state);
}
// Returns the position in `word`.
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

// Relaxed atomic access to a slot's header, without its word, for slots that
// other threads may read or write. slot.h defines which thread may do so when.

// Each access loads or stores a unit of 8 bytes.
inline constexpr size_t kSlotHeaderUnits =
    sizeof(SlotHeader) / sizeof(uint64_t);

inline SlotHeader LoadSlotHeader(const unsigned char* slot) {
  const auto* const units = reinterpret_cast<const uint64_t*>(slot);
  uint64_t copy[kSlotHeaderUnits] = {};
  for (size_t i = 1; i < kSlotHeaderUnits; ++i) {
    copy[i] = __atomic_load_n(units + i, __ATOMIC_RELAXED);
  }
  SlotHeader header;
  std::memcpy(&header, copy, sizeof header);
  return header;
}

inline void StoreSlotHeader(unsigned char* slot, const SlotHeader& header) {
  auto* const units = reinterpret_cast<uint64_t*>(slot);
  uint64_t copy[kSlotHeaderUnits];
  std::memcpy(copy, &header, sizeof header);
  for (size_t i = 1; i < kSlotHeaderUnits; ++i) {
    __atomic_store_n(units + i, copy[i], __ATOMIC_RELAXED);
  }
}

// Until FillSlot() writes the header, the second 8 bytes of a slot can have two
// other values: the writer's thread id in place of the checksum, and
// kWriterMark in place of part_index and part_count. No header has the mark
// there.
static_assert(offsetof(SlotHeader, crc32c) == 8 &&
                  offsetof(SlotHeader, part_index) == 12 &&
                  offsetof(SlotHeader, part_count) == 14,
              "they share the second 8 bytes");
inline constexpr uint64_t kWriterMark = uint64_t{0xffffffff} << 32;

// Stores the writer's thread id and the mark.
inline void StoreSlotWriter(unsigned char* slot, uint32_t thread_id) {
  __atomic_store_n(reinterpret_cast<uint64_t*>(slot) + 1,
                   kWriterMark | thread_id, __ATOMIC_RELAXED);
}

// Returns the stored thread id, or nothing if the mark is not there.
inline std::optional<uint32_t> LoadSlotWriter(const unsigned char* slot) {
  const uint64_t unit = __atomic_load_n(
      reinterpret_cast<const uint64_t*>(slot) + 1, __ATOMIC_RELAXED);
  if ((unit & kWriterMark) != kWriterMark) return std::nullopt;
  return static_cast<uint32_t>(unit);
}

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_WORD_H_
