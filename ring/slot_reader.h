// What a slot means: the one place that decides it, for the consumer of a live
// ring, for recovery and for the tool. ring/FORMAT.md has the table.
//
// Pure functions of bytes that they do not trust.

#ifndef RINGLOG_RING_SLOT_READER_H_
#define RINGLOG_RING_SLOT_READER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/crc/crc32c.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

struct SlotGeometry {
  uint64_t slot_count = 0;
  uint32_t slot_bytes = 0;
  uint32_t head_bytes = 0;
};
SlotGeometry GeometryOf(const RingHeader& header);

// What a slot turns out to be. ring/FORMAT.md has the table.
enum class SlotClass : uint8_t {
  kNeverUsed,    // its word is zero
  kFree,         // released: what it held has been persisted, or given up
  kUnfinished,   // kFilling: the writer has not committed
  kPart,         // committed: a record, or a part of one; the checksum fits
  kAbandoned,    // committed, and nothing in it; the checksum fits
  kSkipped,      // passed by the flusher
  kBadChecksum,  // committed, but the bytes are not those that were
  kImplausible,  // a state or position that this slot cannot have had
};

struct ClassifiedSlot {
  SlotClass slot_class = SlotClass::kNeverUsed;
  uint64_t position = 0;      // the word's; not of kNeverUsed and kImplausible
  SlotHeader header = {};     // of kPart and kAbandoned
  absl::string_view payload;  // of kPart: head_bytes of head, then the body
};

// `slot` is the slot_bytes of slot number `index`; `seed` is ChecksumSeed().
ClassifiedSlot ClassifySlot(absl::string_view slot, uint64_t index,
                            const SlotGeometry& geometry, absl::crc32c_t seed);

// The position that the slot's content is of, whatever its word says; nothing
// if the checksum does not fit. A writer that was passed wipes it.
std::optional<uint64_t> ContentPosition(absl::string_view slot,
                                        const SlotGeometry& geometry,
                                        absl::crc32c_t seed);

struct AssembledRecord {
  enum Outcome : uint8_t {
    kRecord,
    kNothing,  // an abandoned claim, or a part whose record's beginning is lost
    kGap,      // a record whose bytes cannot be believed
  };
  Outcome outcome = kNothing;
  uint32_t slot_count = 1;              // positions that this is about
  GapCause cause = GapCause::kMissing;  // of a gap
  absl::string_view head;               // into the slot
  absl::string_view body;               // into the slot, or `buffer`
};

// Puts together the record that begins in the committed slot of `position`.
// `slot_at` gives the bytes of a position's slot. `buffer` is used for the body
// of a record of several slots, and only then.
AssembledRecord AssembleRecord(
    uint64_t position, const SlotGeometry& geometry, absl::crc32c_t seed,
    absl::FunctionRef<absl::string_view(uint64_t position)> slot_at,
    std::string* buffer);

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_READER_H_
