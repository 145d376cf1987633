#include "ringlog/ring/recovery.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/crc/crc32c.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

// What the file does not have is zero.
template <typename T>
T CopyOut(absl::string_view bytes) {
  T value = {};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

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
    cursor_ =
        std::max(result_.header.first_position, result_.cursor.end_position);
    uint64_t lowest_word = kNone;
    uint64_t lowest_held = kNone;
    uint64_t highest = cursor_;
    uint64_t highest_held = cursor_;
    for (uint64_t i = 0; i < geometry_.slot_count; ++i) {
      if (SlotAt(i).empty()) {
        ++result_.slots.absent;
        continue;
      }
      const ClassifiedSlot slot = Classify(i);
      Count(slot, CopyOut<uint64_t>(SlotAt(i)));
      switch (slot.slot_class) {
        case SlotClass::kNeverUsed:
          break;
        case SlotClass::kPart:
        case SlotClass::kAbandoned:
          lowest_held = std::min(lowest_held, slot.position);
          highest_held = std::max(highest_held, slot.position + 1);
          break;
        case SlotClass::kImplausible:
        case SlotClass::kBadChecksum:
          // If only the word is damaged, the content says what it was.
          if (const auto content =
                  ContentPosition(SlotAt(i), geometry_, seed_)) {
            highest_held = std::max(highest_held, *content + 1);
          } else if (slot.slot_class == SlotClass::kBadChecksum) {
            highest = std::max(highest, slot.position + 1);
          }
          break;
        case SlotClass::kFree:
        case SlotClass::kUnfinished:
        case SlotClass::kSkipped:
          lowest_word = std::min(lowest_word, slot.position);
          highest = std::max(highest, slot.position + 1);
          break;
      }
    }
    SetBounds(lowest_word, lowest_held, highest, highest_held);
  }

  void SetBounds(uint64_t lowest_word, uint64_t lowest_held, uint64_t highest,
                 uint64_t highest_held) {
    uint64_t reach;
    if (lowest_held != kNone) {
      reach = lowest_held + geometry_.slot_count;
    } else if (result_.cursor.sequence != 0 || lowest_word == kNone) {
      reach = cursor_ + geometry_.slot_count;
    } else {
      // Slots that have been claimed and not yet taken in hand are still of the
      // turn before.
      reach = lowest_word + 2 * geometry_.slot_count;
    }
    end_ = std::max(highest_held, std::min(highest, reach));
    begin_ = from_ == RecoverFrom::kCursor ? cursor_
                                           : std::min(cursor_, lowest_held);
    if (end_ > geometry_.slot_count) {
      begin_ = std::max(begin_, end_ - geometry_.slot_count);
    }
    gaps_from_ = cursor_;
    // A ring whose consumer publishes no cursor still says what it has
    // released; believed as far as it agrees with the slots.
    const uint64_t released = result_.live.released;
    if (result_.cursor.sequence == 0 &&
        released <= std::min(lowest_held, end_)) {
      gaps_from_ = std::max(gaps_from_, released);
    }
  }

  // Whether there is a gap of that cause right before `position`.
  bool GapsEndIn(GapCause cause, uint64_t position) const {
    return !result_.gaps.empty() && result_.gaps.back().cause == cause &&
           result_.gaps.back().end_position == position;
  }

  void AddGap(uint64_t position, uint64_t count, GapCause cause) {
    if (position < gaps_from_) return;
    if (GapsEndIn(cause, position)) {
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
    const ClassifiedSlot slot = Classify(p);
    const bool is_of_p = slot.position == p;
    switch (slot.slot_class) {
      case SlotClass::kPart:
        if (is_of_p) return Assemble(p);
        AddGap(p, 1, GapCause::kMissing);
        break;
      case SlotClass::kAbandoned:
        if (!is_of_p) AddGap(p, 1, GapCause::kMissing);
        break;
      case SlotClass::kBadChecksum:
        AddGap(p, 1,
               is_of_p ? GapCause::kChecksumMismatch : GapCause::kMissing);
        break;
      case SlotClass::kImplausible:
        AddGap(p, 1, GapCause::kMissing);
        break;
      case SlotClass::kFree:
        if (is_of_p) {
          if (WasNotPersisted(p)) AddGap(p, 1, GapCause::kMissing);
          break;
        }
        [[fallthrough]];
      case SlotClass::kNeverUsed:
      case SlotClass::kUnfinished:
      case SlotClass::kSkipped:
        AddGap(p, 1,
               SlotAt(p).empty() || (!is_of_p && HoldsContentOf(p))
                   ? GapCause::kMissing
                   : GapCause::kUnfinished);
        break;
    }
    return 1;
  }

  // A slot gets content only after its word is of that position. So if the word
  // is of another, it is the word that is damaged.
  bool HoldsContentOf(uint64_t p) const {
    return ContentPosition(SlotAt(p), geometry_, seed_) == p;
  }

  // A slot is freed when the cursor is past it, or by a writer that was passed
  // itself, which wipes it first. So content that the cursor does not cover has
  // lost its word.
  bool WasNotPersisted(uint64_t p) const {
    return result_.cursor.sequence != 0 && p >= cursor_ && HoldsContentOf(p);
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
    } else if (GapsEndIn(GapCause::kUnfinished, p)) {
      // A part of what was being written there: one record is one gap.
      AddGap(p, 1, GapCause::kUnfinished);
    }
    return record.slot_count;
  }

  const absl::string_view file_;
  const RecoverFrom from_;
  const SlotGeometry geometry_;
  const absl::crc32c_t seed_;
  uint64_t cursor_ = 0;  // what is below has been persisted, or never was
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
