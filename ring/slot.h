// The protocol by which slots go from writers to the flusher and back. Every
// atomic access to the mapping is in this file, in slot_header.h, or in
// crash_area.cc.
//
// A position belongs to whoever moved the tail past it; its slot belongs to
// whoever then moved the slot's word from exactly what the position before left
// there. Both are compare-and-swaps, and the second is what makes it safe: a
// writer that slept for a whole turn of the ring finds another word there and
// gives up, instead of writing into a slot that is somebody else's by then.
//
//   word of slot i before position p = i, i + N, i + 2N, ... claims it:
//     0                        no position has used the slot
//     (p - N) << 3 | kFree     the flusher, or a late writer, has let it go
//     (p - N) << 3 | kSkipped  its writer may still write: p does not get it
//
// Memory ordering: what a writer stored before CommitSlot() is visible to the
// flusher once Look() said kFilled; what the flusher read of a slot happened
// before the writer that claims it next stores to it.
//
// Death at any point leaves words that recovery (recovery.h) reads without the
// rest: each says which position it is of, and how far that got.
// slot.pml is all this as a model, which spin goes through: change both.

#ifndef RINGLOG_RING_SLOT_H_
#define RINGLOG_RING_SLOT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot_header.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {

// The slots of a mapping that it does not own. Thread-safe as each method says.
class Slots {
 public:
  struct Layout {
    RingLive* live = nullptr;
    unsigned char* slots = nullptr;
    uint64_t slot_count = 0;  // power of two
    uint32_t slot_bytes = 0;
    uint64_t first_position = 0;
    absl::crc32c_t seed{0};
  };

  Slots() = default;
  explicit Slots(const Layout& layout) : layout_(layout) {}

  uint64_t slot_count() const { return layout_.slot_count; }
  absl::crc32c_t seed() const { return layout_.seed; }

  // --- Writers; any number of threads ----------------------------------------

  // Takes the next `count` positions, if with them no more than `limit` are in
  // use. They have to be claimed one by one then.
  //
  // Context: any thread; no lock, no allocation, no system call.
  std::optional<uint64_t> AdvanceTail(uint32_t count, uint64_t limit) {
    uint64_t tail = Load(&layout_.live->tail, __ATOMIC_RELAXED);
    for (;;) {
      // Pairs with the release in AdvanceReleased(): the flusher is done with
      // the slots. The tail may be stale here, and then lie below `released`;
      // the compare-and-swap finds that out.
      const uint64_t released = Load(&layout_.live->released, __ATOMIC_ACQUIRE);
      if (static_cast<int64_t>(tail + count - released) >
          static_cast<int64_t>(limit)) {
        const uint64_t now = Load(&layout_.live->tail, __ATOMIC_RELAXED);
        if (now == tail) return std::nullopt;
        tail = now;
        continue;
      }
      // Relaxed: the tail hands out numbers; the slots' words order the rest.
      if (CompareAndSwap(&layout_.live->tail, &tail, tail + count,
                         __ATOMIC_RELAXED)) {
        return tail;
      }
    }
  }

  // kFree -> kFilling. False if the slot cannot be had for this position: its
  // last writer has not let go of it, or the flusher has gone past.
  bool ClaimSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    const uint64_t free = WordBefore(position);
    uint64_t seen = Load(word, __ATOMIC_RELAXED);
    for (;;) {
      if (seen == free) {
        // Acquire pairs with the release in FreeSlot(): whoever had the slot
        // before has ended reading or writing it. Release pairs with the
        // acquire in Pass(): who sees this word sees what was released for it.
        // Death here: kFilling. Recovery names the position, and returns
        // nothing of the slot's old content.
        if (CompareAndSwap(word, &seen, PackWord(position, SlotState::kFilling),
                           __ATOMIC_ACQ_REL)) {
          return true;
        }
      } else if (position >= layout_.slot_count &&
                 seen == PackWord(position - layout_.slot_count,
                                  SlotState::kSkipped)) {
        // The mark moves on, so that the flusher need not wait for this
        // position, and so that the late writer frees it for the next.
        if (CompareAndSwap(word, &seen, PackWord(position, SlotState::kSkipped),
                           __ATOMIC_RELAXED)) {
          return false;
        }
      } else {
        return false;
      }
    }
  }

  // Says in a claimed slot whose it is, until it is filled: a store to a cache
  // line that its writer has anyway. Requires: the caller's own slot, kFilling.
  void NameWriter(uint64_t position, uint32_t thread_id) {
    StoreSlotWriter(SlotOf(position), thread_id);
  }

  // Fills a claimed slot. With part_count 0 it is an abandoned one. Requires:
  // the caller's own slot, kFilling; the sizes fit.
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

  // kFilling -> kFilled: the moment that the record exists, when it is the slot
  // that begins it. False if the flusher has gone past; the slot is free then.
  //
  // Death before: the payload may be whole, but the record does not exist.
  // Death after: recovery returns it.
  bool CommitSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = PackWord(position, SlotState::kFilling);
    // Release pairs with the acquire in Look().
    if (CompareAndSwap(word, &seen, PackWord(position, SlotState::kFilled),
                       __ATOMIC_RELEASE)) {
      return true;
    }
    // Recovery must not take what is in it for a record that lost its word.
    StoreSlotHeader(SlotOf(position), SlotHeader{});
    // The mark may move on to later positions while this thread looks.
    while (WordState(seen) == SlotState::kSkipped) {
      const uint64_t free = PackWord(WordPosition(seen), SlotState::kFree);
      if (CompareAndSwap(word, &seen, free, __ATOMIC_RELEASE)) break;
    }
    return false;
  }

  // --- The flusher; with OverflowPolicy::kOverwriteOldest any writer ---------

  enum class Seen {
    kNotClaimed,  // at or beyond the tail
    kPending,     // claimed, not committed
    kFilled,      // the record's bytes are visible now
    kPersisting,  // taken before, and not released
    kNothing,     // nothing will come: skipped, or given back
  };
  Seen Look(uint64_t position) {
    if (position >= Load(&layout_.live->tail, __ATOMIC_RELAXED)) {
      return Seen::kNotClaimed;
    }
    uint64_t* const word = WordOf(position);
    // Pairs with the release in CommitSlot().
    uint64_t seen = Load(word, __ATOMIC_ACQUIRE);
    while (WordPosition(seen) != position) {
      if (WordState(seen) != SlotState::kSkipped ||
          WordPosition(seen) > position) {
        return Seen::kPending;
      }
      // A writer of the turn before still has the slot. Whoever has claimed
      // this position does not get it, and needs no waiting for.
      if (CompareAndSwap(word, &seen, PackWord(position, SlotState::kSkipped),
                         __ATOMIC_RELAXED)) {
        return Seen::kNothing;
      }
    }
    switch (WordState(seen)) {
      case SlotState::kFilling:
        return Seen::kPending;
      case SlotState::kFilled:
        return Seen::kFilled;
      case SlotState::kPersisting:
        return Seen::kPersisting;
      default:
        return Seen::kNothing;
    }
  }

  // kFilled -> kPersisting. Requires: Look() said kFilled, and no other thread
  // takes. Recovery treats both alike, so a plain store will do.
  void MarkPersisting(uint64_t position) {
    Store(WordOf(position), PackWord(position, SlotState::kPersisting),
          __ATOMIC_RELAXED);
  }

  enum class Passed {
    kRecordGivenUp,  // kFilling -> kSkipped: its writer's commit will fail
    kNothingBegun,   // the writer had not got to the slot, and will not now
    kNotPending,     // it moved while we looked
  };
  // Requires: Look() has said kPending.
  Passed Pass(uint64_t position) {
    uint64_t* const word = WordOf(position);
    // Pairs with the release in ClaimSlot().
    uint64_t seen = Load(word, __ATOMIC_ACQUIRE);
    Passed passed = Passed::kRecordGivenUp;
    SlotState next = SlotState::kSkipped;
    if (seen == WordBefore(position)) {
      passed = Passed::kNothingBegun;
      next = SlotState::kFree;
    } else if (seen != PackWord(position, SlotState::kFilling)) {
      if (IsOf(seen, position) || released() > position) {
        return Passed::kNotPending;
      }
      // No word that the protocol leaves here: somebody wrote wildly into the
      // mapping. The slot is set aside, or all would wait for it for ever.
    }
    return CompareAndSwap(word, &seen, PackWord(position, next),
                          __ATOMIC_RELAXED)
               ? passed
               : Passed::kNotPending;
  }

  // The thread that NameWriter() named, low 32 bits; nothing if the slot has
  // not got so far, or is filled. Requires: Look() has said kPending; it counts
  // if Pass() then says kRecordGivenUp.
  std::optional<uint32_t> WriterOf(uint64_t position) const {
    return LoadSlotWriter(SlotOf(position));
  }

  // kFilled or kPersisting -> kFree. False if the slot is in another state,
  // such as kSkipped: its writer will free it.
  bool FreeSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = Load(word, __ATOMIC_RELAXED);
    const SlotState state = WordState(seen);
    if (WordPosition(seen) != position ||
        (state != SlotState::kFilled && state != SlotState::kPersisting)) {
      return false;
    }
    // Release pairs with the acquire in ClaimSlot().
    return CompareAndSwap(word, &seen, PackWord(position, SlotState::kFree),
                          __ATOMIC_RELEASE);
  }

  // kFilled -> kFree by a writer that needs the room, and counts the record:
  // `*severity` is set if the slot began one, else -1. False if the slot is in
  // another state.
  bool EvictSlot(uint64_t position, int* severity) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = PackWord(position, SlotState::kFilled);
    // Pairs with the release in CommitSlot(). What is read of the header counts
    // only if the word is still the same after it.
    if (Load(word, __ATOMIC_ACQUIRE) != seen) return false;
    const SlotHeader header = LoadSlotHeader(SlotOf(position));
    // The bound counts in a file that is damaged: the severity is an index.
    *severity = header.part_index == 0 && header.part_count != 0 &&
                        header.severity < kSeverityCount
                    ? header.severity
                    : -1;
    return CompareAndSwap(word, &seen, PackWord(position, SlotState::kFree),
                          __ATOMIC_ACQ_REL);
  }

  // Positions below `position` may be claimed for the next turn.
  void AdvanceReleased(uint64_t position) {
    Store(&layout_.live->released, position, __ATOMIC_RELEASE);
  }
  // The same by one, where several threads may try.
  bool AdvanceReleasedFrom(uint64_t position) {
    return CompareAndSwap(&layout_.live->released, &position, position + 1,
                          __ATOMIC_RELEASE);
  }

  // Makes the words of a dead ring those of one whose positions from `begin`
  // to `tail` have been claimed: what is committed stays, what was being
  // written is given up, everything before is free. No word of before is left
  // as it was, for one that is damaged would hold its slot for ever. Requires:
  // no other thread; begin <= tail <= begin + slot_count.
  void ResumeAt(uint64_t begin, uint64_t tail) {
    for (uint64_t i = 0; i < slot_count(); ++i) {
      // The last position before the tail that uses slot i, if one does.
      const uint64_t back = (tail - 1 - i) & (slot_count() - 1);
      const uint64_t p = tail - 1 - back;
      uint64_t word = 0;
      if (back < tail && p >= layout_.first_position) {
        const uint64_t was = Load(WordOf(p), __ATOMIC_RELAXED);
        const bool stays =
            p >= begin && (was == PackWord(p, SlotState::kFilled) ||
                           was == PackWord(p, SlotState::kPersisting));
        word = PackWord(p, stays ? SlotState::kFilled : SlotState::kFree);
      }
      Store(WordOf(i), word, __ATOMIC_RELAXED);
    }
    Store(&layout_.live->tail, tail, __ATOMIC_RELAXED);
    Store(&layout_.live->released, begin, __ATOMIC_RELEASE);
  }

  // --- Anybody ---------------------------------------------------------------

  uint64_t tail() const { return Load(&layout_.live->tail, __ATOMIC_RELAXED); }
  uint64_t released() const {
    return Load(&layout_.live->released, __ATOMIC_ACQUIRE);
  }
  uint64_t word(uint64_t position) const {
    return Load(WordOf(position), __ATOMIC_RELAXED);
  }
  unsigned char* SlotOf(uint64_t position) const {
    return layout_.slots +
           (position & (layout_.slot_count - 1)) * layout_.slot_bytes;
  }
  // Counters: relaxed, for they order nothing; a reader from outside may see
  // one a moment before another.
  static void Add(uint64_t* counter, uint64_t n) {
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
  }
  template <typename T>
  static T Get(const T* counter) {
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
  }
  template <typename T>
  static void Set(T* counter, T n) {
    __atomic_store_n(counter, n, __ATOMIC_RELAXED);
  }
  // The persist cursor's selector: release, so that the cursor is whole before
  // it is the one that counts. Death between the two leaves the old one valid.
  static void Publish(uint64_t* selector, uint64_t n) {
    Store(selector, n, __ATOMIC_RELEASE);
  }

 private:
  static uint64_t Load(const uint64_t* p, int order) {
    return __atomic_load_n(p, order);
  }
  static void Store(uint64_t* p, uint64_t value, int order) {
    __atomic_store_n(p, value, order);
  }
  // On failure `expected` is what was there, as after an acquiring load.
  static bool CompareAndSwap(uint64_t* p, uint64_t* expected, uint64_t desired,
                             int order) {
    return __atomic_compare_exchange_n(p, expected, desired, /*weak=*/false,
                                       order, __ATOMIC_RELAXED);
  }

  uint64_t* WordOf(uint64_t position) const {
    return reinterpret_cast<uint64_t*>(SlotOf(position));
  }
  // Whether `word` is one that this position may have had itself, or the mark
  // that its slot is still held.
  bool IsOf(uint64_t word, uint64_t position) const {
    return (WordPosition(word) == position &&
            WordState(word) <= SlotState::kSkipped) ||
           (position >= layout_.slot_count &&
            word ==
                PackWord(position - layout_.slot_count, SlotState::kSkipped));
  }
  // What the slot's word has to be for `position` to claim it.
  uint64_t WordBefore(uint64_t position) const {
    return position < layout_.first_position + layout_.slot_count
               ? 0
               : PackWord(position - layout_.slot_count, SlotState::kFree);
  }

  Layout layout_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_H_
