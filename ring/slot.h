// The protocol that moves slots from writers to the flusher and back. Atomic
// accesses to the mapping are only here, in slot_word.h and in crash_area.cc.
//
// A writer claims a slot in two steps, each a compare-and-swap:
// 1. It advances the tail over a position. The position is then its own.
// 2. It changes the slot's word from exactly the value that the previous lap
//    left. The slot is then its own.
//
// Step 2 makes the protocol safe: a writer that slept for a lap finds another
// word, and cannot write into a slot that another writer owns by then.
//
//   Word of slot i before position p = i, i + N, i + 2N, ... claims it:
//     0                        no position has used the slot
//     (p - N) << 3 | kFree     the flusher or a late writer has released it
//     (p - N) << 3 | kSkipped  its writer may still write; p does not get it
//
// Memory ordering:
// - The flusher sees all stores that a writer made before CommitSlot(), once
//   ExamineSlot() has returned kFilled.
// - The flusher's reads of a slot happen before the stores of the writer that
//   claims the slot next.
//
// Death at any point leaves words that ring_recovery.h reads one by one.
// slot.pml models this protocol for spin; change both together. ring/FORMAT.md,
// "States", lists all functions that change a word, and the changes.

#ifndef RINGLOG_RING_SLOT_H_
#define RINGLOG_RING_SLOT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot_access.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {

// Operations on the slots of a mapping, which must outlive the object. Copies
// refer to the same slots. Each section states the threads that may call it.
// No operation takes a lock, allocates memory or makes a system call.
class Slots {
 public:
  struct Layout {
    RingLive* live = nullptr;
    unsigned char* slots = nullptr;
    uint64_t slot_count = 0;  // A power of two.
    uint32_t slot_bytes = 0;
    uint64_t first_position = 0;
    absl::crc32c_t seed{0};  // ChecksumSeed() of the ring.
  };

  Slots() = default;
  explicit Slots(const Layout& layout) : layout_(layout) {}

  uint64_t slot_count() const { return layout_.slot_count; }
  absl::crc32c_t seed() const { return layout_.seed; }

  // --- Writers; any number of threads ----------------------------------------

  // Advances the tail by `count` positions and returns the first, or nothing if
  // more than `limit` would be in use. Except to seal, claim each slot next.
  std::optional<uint64_t> AdvanceTail(uint32_t count, uint64_t limit) {
    uint64_t* const cell = &layout_.live->tail;
    uint64_t tail = Access::Load(Site::kTailRead, cell, __ATOMIC_RELAXED);
    for (;;) {
      // Pairs with the release in AdvanceReleased(): the flusher no longer uses
      // the slots. A stale tail may be less than `released`; the
      // compare-and-swap below detects a stale tail.
      const uint64_t released = Access::Load(
          Site::kTailReadReleased, &layout_.live->released, __ATOMIC_ACQUIRE);
      if (static_cast<int64_t>(tail + count - released) >
          static_cast<int64_t>(limit)) {
        const uint64_t now =
            Access::Load(Site::kTailReadAgain, cell, __ATOMIC_RELAXED);
        if (now == tail) return std::nullopt;
        tail = now;
        continue;
      }
      // Relaxed: the tail only numbers claims; words order all other accesses.
      if (Access::CompareAndSwap(Site::kTailSwap, cell, &tail, tail + count,
                                 __ATOMIC_RELAXED)) {
        return tail;
      }
    }
  }

  // kFree -> kFilling. Returns false if the writer of the previous lap still
  // owns the slot, or if the flusher has skipped the position.
  bool ClaimSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    const uint64_t free = WordBefore(position);
    uint64_t seen = Access::Load(Site::kClaimRead, word, __ATOMIC_RELAXED);
    for (;;) {
      if (seen == free) {
        // Acquire pairs with the release in FreeSlot(): the previous user of
        // the slot no longer reads or writes it. Release pairs with the acquire
        // in TrySkip(): a thread that sees this word also sees that the slot
        // was released before.
        // Death here: kFilling. Recovery reports the position as unfinished,
        // and returns none of the slot's old content.
        if (Access::CompareAndSwap(Site::kClaimSwap, word, &seen,
                                   PackWord(position, SlotState::kFilling),
                                   __ATOMIC_ACQ_REL)) {
          return true;
        }
      } else if (position >= layout_.slot_count &&
                 seen == PackWord(position - layout_.slot_count,
                                  SlotState::kSkipped)) {
        // Advances the mark: the flusher need not wait for this position, and
        // the late writer frees the slot for the next lap. Release as above.
        if (Access::CompareAndSwap(Site::kClaimSwapMark, word, &seen,
                                   PackWord(position, SlotState::kSkipped),
                                   __ATOMIC_RELEASE)) {
          return false;
        }
      } else {
        return false;
      }
    }
  }

  // Stores the writer's thread id in a claimed slot until FillSlot() overwrites
  // it. Costs one store to a cache line that the writer owns already.
  // Requires: the caller has claimed the slot; kFilling.
  void StoreWriter(uint64_t position, uint32_t thread_id) {
    StoreSlotWriter(SlotOf(position), thread_id);
  }

  // Copies a part of a record into a claimed slot. A `part_count` of 0 marks an
  // abandoned claim.
  // Requires: the caller's claimed slot, kFilling; head and body fit into it.
  void FillSlot(uint64_t position, uint16_t part_index, uint16_t part_count,
                uint8_t severity, absl::string_view head,
                absl::string_view body) {
    unsigned char* const slot = SlotOf(position);
    SlotHeader header = {};
    header.part_index = part_index;
    header.part_count = part_count;
    header.position = position;
    header.head_bytes = static_cast<uint16_t>(head.size());
    header.severity = severity;
    header.body_bytes = static_cast<uint32_t>(body.size());
    unsigned char* const payload = slot + sizeof header;
    if (!head.empty()) std::memcpy(payload, head.data(), head.size());
    if (!body.empty()) {
      std::memcpy(payload + head.size(), body.data(), body.size());
    }
    header.crc32c = static_cast<uint32_t>(
        SlotChecksum(layout_.seed, header,
                     absl::string_view(reinterpret_cast<const char*>(payload),
                                       head.size() + body.size())));
    StoreSlotHeader(slot, header);
  }

  // kFilling -> kFilled. Returns false, and frees the slot, if the flusher has
  // skipped it.
  // Death here: the record exists from the commit of its part 0 on. Until then
  // recovery does not return it, even if its payload is complete.
  bool CommitSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = PackWord(position, SlotState::kFilling);
    // Release pairs with the acquire in ExamineSlot().
    if (Access::CompareAndSwap(Site::kCommitSwap, word, &seen,
                               PackWord(position, SlotState::kFilled),
                               __ATOMIC_RELEASE)) {
      return true;
    }
    // Erases the header. Otherwise recovery would take the content for a record
    // whose word is damaged, and report it as missing.
    StoreSlotHeader(SlotOf(position), SlotHeader{});
    // The mark may advance to later positions while this loop runs.
    while (WordState(seen) == SlotState::kSkipped) {
      const uint64_t free = PackWord(WordPosition(seen), SlotState::kFree);
      if (Access::CompareAndSwap(Site::kCommitFreeLate, word, &seen, free,
                                 __ATOMIC_RELEASE)) {
        break;
      }
    }
    return false;
  }

  // --- The flusher; with OverflowPolicy::kOverwriteOldest any writer ---------

  enum class SlotStatus {
    kNotClaimed,  // at or beyond the tail
    kPending,     // claimed, not committed
    kFilled,      // committed; the record's bytes are visible to the caller
    kPersisting,  // taken, not released
    kNothing,     // no record will come: skipped or released
  };
  // Returns the status of a position. May change the word: if a stuck writer of
  // an earlier lap owns the slot, marks the position as skipped for good.
  SlotStatus ExamineSlot(uint64_t position) {
    if (position >= Access::Load(Site::kExamineReadTail, &layout_.live->tail,
                                 __ATOMIC_RELAXED)) {
      return SlotStatus::kNotClaimed;
    }
    uint64_t* const word = WordOf(position);
    // Pairs with the release in CommitSlot().
    uint64_t seen = Access::Load(Site::kExamineRead, word, __ATOMIC_ACQUIRE);
    while (WordPosition(seen) != position) {
      if (WordState(seen) != SlotState::kSkipped ||
          WordPosition(seen) > position) {
        return SlotStatus::kPending;
      }
      // Release as in ClaimSlot(). A failed swap reads as the load above.
      if (Access::CompareAndSwap(Site::kExamineSwapMark, word, &seen,
                                 PackWord(position, SlotState::kSkipped),
                                 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return SlotStatus::kNothing;
      }
    }
    switch (WordState(seen)) {
      case SlotState::kFilling:
        return SlotStatus::kPending;
      case SlotState::kFilled:
        return SlotStatus::kFilled;
      case SlotState::kPersisting:
        return SlotStatus::kPersisting;
      default:
        return SlotStatus::kNothing;
    }
  }

  // kFilled -> kPersisting. A plain store suffices, because recovery treats
  // both states alike.
  // Requires: part 0 was kFilled in ExamineSlot(); no other thread takes.
  void MarkPersisting(uint64_t position) {
    Access::Store(Site::kMarkPersisting, WordOf(position),
                  PackWord(position, SlotState::kPersisting), __ATOMIC_RELAXED);
  }

  enum class SkipResult {
    kRecordSkipped,    // kFilling -> kSkipped; the writer's commit will fail
    kPositionSkipped,  // the writer had not claimed the slot, and now cannot
    kNotPending,       // the slot changed meanwhile; nothing was skipped
  };
  // Skips a position, so that its writer can no longer commit it.
  // Requires: ExamineSlot() has returned kPending.
  SkipResult TrySkip(uint64_t position) {
    uint64_t* const word = WordOf(position);
    // Pairs with the release in ClaimSlot().
    uint64_t seen = Access::Load(Site::kSkipRead, word, __ATOMIC_ACQUIRE);
    SkipResult result = SkipResult::kRecordSkipped;
    SlotState next = SlotState::kSkipped;
    if (seen == WordBefore(position)) {
      result = SkipResult::kPositionSkipped;
      next = SlotState::kFree;
    } else if (seen != PackWord(position, SlotState::kFilling)) {
      if (IsOf(seen, position) || released() > position) {
        return SkipResult::kNotPending;
      }
      // The protocol never stores this word: other code wrote into the mapping.
      // Skips the position, for which the flusher would wait forever.
    }
    // Release as in ClaimSlot().
    return Access::CompareAndSwap(Site::kSkipSwap, word, &seen,
                                  PackWord(position, next), __ATOMIC_RELEASE)
               ? result
               : SkipResult::kNotPending;
  }

  // Returns the low 32 bits of the id that StoreWriter() stored, if there is
  // one. Valid only if TrySkip() then returns kRecordSkipped.
  // Requires: ExamineSlot() has returned kPending.
  std::optional<uint32_t> WriterOf(uint64_t position) const {
    return LoadSlotWriter(SlotOf(position));
  }

  // kFilled or kPersisting -> kFree. Returns false in any other state. A
  // kSkipped slot is freed by its writer.
  bool FreeSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = Access::Load(Site::kFreeRead, word, __ATOMIC_RELAXED);
    const SlotState state = WordState(seen);
    if (WordPosition(seen) != position ||
        (state != SlotState::kFilled && state != SlotState::kPersisting)) {
      return false;
    }
    // Release pairs with the acquire in ClaimSlot().
    return Access::CompareAndSwap(Site::kFreeSwap, word, &seen,
                                  PackWord(position, SlotState::kFree),
                                  __ATOMIC_RELEASE);
  }

  // kFilled -> kFree, by a writer that needs the room. Sets `*severity` to the
  // severity of the record that begins in the slot, or to -1 if none does.
  // Returns false in any other state.
  bool EvictSlot(uint64_t position, int* severity) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = PackWord(position, SlotState::kFilled);
    // Pairs with the release in CommitSlot(). The header that is read next is
    // valid only if the word has not changed after it.
    if (Access::Load(Site::kEvictRead, word, __ATOMIC_ACQUIRE) != seen) {
      return false;
    }
    const SlotHeader header = LoadSlotHeader(SlotOf(position));
    // The severity is an array index; a damaged file may have any value.
    *severity = header.part_index == 0 && header.part_count != 0 &&
                        header.severity < kSeverityCount
                    ? header.severity
                    : -1;
    return Access::CompareAndSwap(Site::kEvictSwap, word, &seen,
                                  PackWord(position, SlotState::kFree),
                                  __ATOMIC_ACQ_REL);
  }

  // Lets writers claim the positions below `position` for the next lap.
  void AdvanceReleased(uint64_t position) {
    Access::Store(Site::kAdvanceReleased, &layout_.live->released, position,
                  __ATOMIC_RELEASE);
  }
  // Advances `released` from `position` to `position` + 1. Returns false if
  // another thread has done so. Any thread.
  bool AdvanceReleasedFrom(uint64_t position) {
    return Access::CompareAndSwap(Site::kAdvanceReleasedFrom,
                                  &layout_.live->released, &position,
                                  position + 1, __ATOMIC_RELEASE);
  }

  // Resets the words of a dead ring: committed slots of the positions [begin,
  // tail) become kFilled, all others free, because a damaged word would block
  // its slot forever. Only Ring::Open() calls it.
  // Requires: no other thread; begin <= tail <= begin + slot_count.
  void ResumeAt(uint64_t begin, uint64_t tail) {
    for (uint64_t i = 0; i < slot_count(); ++i) {
      // The last position before the tail that uses slot i, if there is one.
      const uint64_t back = (tail - 1 - i) & (slot_count() - 1);
      const uint64_t p = tail - 1 - back;
      uint64_t next = 0;
      if (back < tail && p >= layout_.first_position) {
        const uint64_t was = word(p);
        const bool stays =
            p >= begin && (was == PackWord(p, SlotState::kFilled) ||
                           was == PackWord(p, SlotState::kPersisting));
        next = PackWord(p, stays ? SlotState::kFilled : SlotState::kFree);
      }
      Access::Store(Site::kResumeAt, WordOf(i), next, __ATOMIC_RELAXED);
    }
    Access::Store(Site::kResumeAt, &layout_.live->tail, tail, __ATOMIC_RELAXED);
    Access::Store(Site::kResumeAt, &layout_.live->released, begin,
                  __ATOMIC_RELEASE);
  }

  // --- Any thread ------------------------------------------------------------

  uint64_t tail() const {
    return Access::Load(Site::kReadTail, &layout_.live->tail, __ATOMIC_RELAXED);
  }
  uint64_t released() const {
    return Access::Load(Site::kReadReleased, &layout_.live->released,
                        __ATOMIC_ACQUIRE);
  }
  uint64_t word(uint64_t position) const {
    return Access::Load(Site::kReadWord, WordOf(position), __ATOMIC_RELAXED);
  }
  unsigned char* SlotOf(uint64_t position) const {
    return layout_.slots +
           (position & (layout_.slot_count - 1)) * layout_.slot_bytes;
  }
  // Selects the persist cursor that the next publication keeps. Release: the
  // cursor is complete. Recovery finds the newer cursor without the selector.
  static void Publish(uint64_t* selector, uint64_t n) {
    Access::Store(Site::kPublishCursor, selector, n, __ATOMIC_RELEASE);
  }

 private:
  using Access = SlotAccess;
  using Site = AccessSite;

  uint64_t* WordOf(uint64_t position) const {
    return reinterpret_cast<uint64_t*>(SlotOf(position));
  }
  // Returns true if this position may have stored `word`, or if `word` marks
  // the slot as still owned by a writer of the previous lap.
  bool IsOf(uint64_t word, uint64_t position) const {
    return (WordPosition(word) == position &&
            WordState(word) <= SlotState::kSkipped) ||
           (position >= layout_.slot_count &&
            word ==
                PackWord(position - layout_.slot_count, SlotState::kSkipped));
  }
  // Returns the word that the slot must have so that `position` can claim it.
  uint64_t WordBefore(uint64_t position) const {
    return position < layout_.first_position + layout_.slot_count
               ? 0
               : PackWord(position - layout_.slot_count, SlotState::kFree);
  }

  Layout layout_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_H_
