// Classification of slots and assembly of records. The flusher of a live ring,
// recovery and the command use it; no other code decides what a slot means.
// ring/FORMAT.md, "Reading a ring", has the tables.
//
// Pure functions of untrusted bytes. The geometry must be that of a header that
// ParseRingHeader() or RebuildRingHeader() has returned.

#ifndef RINGLOG_RING_SLOT_READER_H_
#define RINGLOG_RING_SLOT_READER_H_

#include <cstddef>
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

// The class of a slot. ring/FORMAT.md, "What a slot means", has the conditions.
enum class SlotClass : uint8_t {
  kNeverUsed,    // the word is zero
  kFree,         // released
  kFilling,      // claimed, not committed
  kPart,         // intact: a record or a part of one
  kAbandoned,    // intact: an abandoned claim
  kSkipped,      // skipped by the flusher
  kMismatched,   // committed, but the checksum does not match
  kImplausible,  // a state or position that this slot cannot have
};

struct ClassifiedSlot {
  SlotClass slot_class = SlotClass::kNeverUsed;
  // Position in the word. 0 for kNeverUsed; unspecified for kImplausible.
  uint64_t position = 0;
  // Set for kPart and kAbandoned.
  SlotHeader header = {};
  // Set for kPart: header.head_bytes of head, then the body. A view of the
  // slot.
  absl::string_view payload;
};

// Classifies the slot with number `index`. `slot` has the slot's slot_bytes, or
// is empty if the file ends before the slot; `seed` is ChecksumSeed() of the
// ring.
ClassifiedSlot ClassifySlot(absl::string_view slot, uint64_t index,
                            const SlotGeometry& geometry, absl::crc32c_t seed);

// Returns the position that the slot's content belongs to, whatever the word
// is. Returns nothing if the checksum does not match. A slot whose writer was
// skipped has no content, because the writer erases it.
std::optional<uint64_t> ContentPosition(absl::string_view slot,
                                        const SlotGeometry& geometry,
                                        absl::crc32c_t seed);

struct AssembledRecord {
  enum Outcome : uint8_t {
    kRecord,
    kNothing,  // an abandoned claim, or a part of a record without its part 0
    kGap,      // a record that is not intact
  };
  Outcome outcome = kNothing;
  // Number of positions. Those of a gap end before a position that another
  // record has.
  uint32_t slot_count = 1;
  // Cause of a gap.
  GapCause cause = GapCause::kMissing;
  // Refer to the slot if the record has one slot, otherwise to `buffer`.
  absl::string_view head;
  absl::string_view body;
};

// Returns the bytes of a position's slot, or an empty view if the file ends
// before it.
using SlotAt = absl::FunctionRef<absl::string_view(uint64_t position)>;

// Assembles the record that begins in the slot of `position`. The views that
// `slot_at` returns must stay valid.
// `buffer` receives head and body if the record has several slots, and is not
// used otherwise.
// Requires: the slot of `position` is committed.
AssembledRecord AssembleRecord(uint64_t position, const SlotGeometry& geometry,
                               absl::crc32c_t seed, SlotAt slot_at,
                               std::string* buffer);

// Assembles the record that begins in `first`, the slot of `position`. The
// views in `first`, and each view that `slot_at` returns, need to be valid only
// until the next call of `slot_at`. If the record has several slots and a body
// of more than `max_body_bytes` bytes, checks all of it and returns the
// beginning of the body.
// Requires: `first` is committed.
AssembledRecord AssembleRecord(const ClassifiedSlot& first, uint64_t position,
                               const SlotGeometry& geometry,
                               absl::crc32c_t seed, SlotAt slot_at,
                               size_t max_body_bytes, std::string* buffer);

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_READER_H_
