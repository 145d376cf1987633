// A slot's header where others may look while it is written: all of it but the
// word, in relaxed atomics. Who may when, slot.h says.

#ifndef RINGLOG_RING_SLOT_HEADER_H_
#define RINGLOG_RING_SLOT_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "ringlog/ring/ring_format.h"

namespace ringlog {

inline constexpr size_t kSlotHeaderWords =
    sizeof(SlotHeader) / sizeof(uint64_t);

inline SlotHeader LoadSlotHeader(const unsigned char* slot) {
  const auto* const words = reinterpret_cast<const uint64_t*>(slot);
  uint64_t copy[kSlotHeaderWords] = {};
  for (size_t i = 1; i < kSlotHeaderWords; ++i) {
    copy[i] = __atomic_load_n(words + i, __ATOMIC_RELAXED);
  }
  SlotHeader header;
  std::memcpy(&header, copy, sizeof header);
  return header;
}

inline void StoreSlotHeader(unsigned char* slot, const SlotHeader& header) {
  auto* const words = reinterpret_cast<uint64_t*>(slot);
  uint64_t copy[kSlotHeaderWords];
  std::memcpy(copy, &header, sizeof header);
  for (size_t i = 1; i < kSlotHeaderWords; ++i) {
    __atomic_store_n(words + i, copy[i], __ATOMIC_RELAXED);
  }
}

// Until a slot has its header it can say who writes it: in place of the
// checksum the thread's id, and part_index and part_count as no header has
// them.
static_assert(offsetof(SlotHeader, crc32c) == 8 &&
                  offsetof(SlotHeader, part_index) == 12 &&
                  offsetof(SlotHeader, part_count) == 14,
              "these are one word");
inline constexpr uint64_t kWriterMark = uint64_t{0xffffffff} << 32;

inline void StoreSlotWriter(unsigned char* slot, uint32_t thread_id) {
  __atomic_store_n(reinterpret_cast<uint64_t*>(slot) + 1,
                   kWriterMark | thread_id, __ATOMIC_RELAXED);
}

inline std::optional<uint32_t> LoadSlotWriter(const unsigned char* slot) {
  const uint64_t word = __atomic_load_n(
      reinterpret_cast<const uint64_t*>(slot) + 1, __ATOMIC_RELAXED);
  if ((word & kWriterMark) != kWriterMark) return std::nullopt;
  return static_cast<uint32_t>(word);
}

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_HEADER_H_
