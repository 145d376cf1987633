// The part of RingRecovery that computes which positions were in use.

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "ringlog/ring/copy_out.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

bool IsIntact(const ClassifiedSlot& slot) {
  return slot.slot_class == SlotClass::kPart ||
         slot.slot_class == SlotClass::kAbandoned;
}

void Count(const ClassifiedSlot& slot, SlotState state, SlotCounts* n) {
  switch (slot.slot_class) {
    case SlotClass::kNeverUsed:
      ++n->never_used;
      break;
    case SlotClass::kFree:
      ++n->free;
      break;
    case SlotClass::kFilling:
      ++n->filling;
      break;
    case SlotClass::kPart:
    case SlotClass::kAbandoned:
      ++(state == SlotState::kFilled ? n->filled : n->persisting);
      break;
    case SlotClass::kSkipped:
      ++n->skipped;
      break;
    case SlotClass::kMismatched:
    case SlotClass::kImplausible:
      ++n->damaged;
      break;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RingRecovery>> RingRecovery::Start(
    RingSource* source, const RingHeader& header, RecoverFrom from) {
  auto recovery = absl::WrapUnique(new RingRecovery(source, header));
  if (absl::Status s = recovery->ReadLive(); !s.ok()) return s;
  if (absl::Status s = recovery->ScanSlots(); !s.ok()) return s;
  recovery->Restart(from);
  return recovery;
}

RingRecovery::RingRecovery(RingSource* source, const RingHeader& header)
    : source_(source),
      geometry_(GeometryOf(header)),
      seed_(ChecksumSeed(header.ring_id)),
      slots_(source, header.slots_offset, header.slot_bytes,
             header.slot_count) {
  summary_.header = header;
}

absl::Status RingRecovery::ReadLive() {
  const RingHeader& header = summary_.header;
  const absl::StatusOr<absl::string_view> live =
      source_->Read(header.live_offset, sizeof(RingLive));
  if (!live.ok()) return live.status();
  summary_.live = CopyOut<RingLive>(*live);
  summary_.has_live = live->size() >= sizeof(RingLive);
  summary_.cursor = ParsePersistCursor(*live, header);
  cursor_is_latest_ = summary_.cursor.sequence != 0 &&
                      !LatestCursorIsDamaged(summary_.live, header);
  cursor_ = std::max(header.first_position, summary_.cursor.end_position);
  return absl::OkStatus();
}

// Counts the slots, and computes the end of the positions in use.
absl::Status RingRecovery::ScanSlots() {
  uint64_t proven_end = cursor_;
  const uint64_t present = slots_.present();
  summary_.slots.absent = geometry_.slot_count - present;
  for (uint64_t i = 0; i < present && slots_.status().ok();) {
    if (const uint64_t unused = slots_.UnusedFrom(i); unused != 0) {
      summary_.slots.never_used += unused;
      i += unused;
    } else {
      proven_end = std::max(proven_end, CountSlot(i++));
    }
  }
  summary_.end_position = EndOf(proven_end);
  return slots_.status();
}

// Counts a slot by its state. Returns the end of the position that its content
// proves; 0 if there is none.
uint64_t RingRecovery::CountSlot(uint64_t index) {
  const absl::string_view bytes = slots_.At(index);
  const ClassifiedSlot slot = ClassifySlot(bytes, index, geometry_, seed_);
  Count(slot, WordState(CopyOut<uint64_t>(bytes)), &summary_.slots);
  if (IsIntact(slot)) {
    lowest_intact_ = std::min(lowest_intact_, slot.position);
    return slot.position + 1;
  }
  const auto content = ContentPosition(bytes, geometry_, seed_);
  // Content of another slot proves nothing about this one.
  return content && IndexOf(*content) == index ? *content + 1 : 0;
}

// Returns the end of the positions in use. A damaged word can name any position
// of its slot. A word one lap ahead would make a whole lap of positions look
// used. A candidate therefore needs a second witness: the tail, or all
// positions below it.
uint64_t RingRecovery::EndOf(uint64_t proven_end) {
  const uint64_t tail = summary_.live.tail;
  const uint64_t reach =
      std::min(lowest_intact_, proven_end) + geometry_.slot_count;
  uint64_t end = proven_end;
  uint64_t p = proven_end;
  while (p < reach && (p < tail || p == end) && slots_.status().ok()) {
    const uint64_t index = IndexOf(p);
    const bool is_absent = index >= slots_.present();
    const uint64_t zeros =
        is_absent ? geometry_.slot_count - index : slots_.UnusedFrom(index);
    if (zeros == 0) {
      if (IsCandidate(p)) end = p + 1;
      ++p;
      continue;
    }
    // A slot without a word is a candidate only for its last position below
    // the tail. A slot that was never used awaits the first lap.
    const uint64_t begin = is_absent
                               ? p
                               : std::max(p, summary_.header.first_position +
                                                 geometry_.slot_count);
    end = std::max(end, LastBelowTail(begin, std::min(reach, p + zeros)));
    p += zeros;
  }
  return end;
}

// Returns the end of the positions in [begin, end) that are within the last lap
// below the tail; 0 if there is none.
uint64_t RingRecovery::LastBelowTail(uint64_t begin, uint64_t end) const {
  const uint64_t tail = summary_.live.tail;
  end = std::min(end, tail);
  begin = std::max(begin, tail - std::min(tail, geometry_.slot_count));
  return begin < end ? end : 0;
}

// Returns true if the slot of `p` suggests that `p` was in use, although its
// content does not prove it. Words have no checksum; see EndOf().
// Requires: `p` is not below the positions that contents prove.
bool RingRecovery::IsCandidate(uint64_t p) {
  const absl::string_view bytes = SlotAt(p);
  const ClassifiedSlot slot = ClassifySlot(bytes, IndexOf(p), geometry_, seed_);
  if (IsIntact(slot)) return false;
  const auto content = ContentPosition(bytes, geometry_, seed_);
  const bool has_content = content && IndexOf(*content) == IndexOf(p);
  const bool is_committed = slot.slot_class == SlotClass::kMismatched;
  const bool names_position = is_committed ||
                              slot.slot_class == SlotClass::kFree ||
                              slot.slot_class == SlotClass::kFilling ||
                              slot.slot_class == SlotClass::kSkipped;
  if (names_position && slot.position == p) {
    return !(has_content && is_committed);
  }
  // A slot without content was used by the last position below the tail that
  // falls on it.
  return !has_content && LastBelowTail(p, p + 1) != 0 && !Awaits(slot, p);
}

}  // namespace ringlog
