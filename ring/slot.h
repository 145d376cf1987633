// The protocol by which slots go from writers to the flusher and back. Every
// atomic access to the mapping is in this file.
//
// A position belongs to whoever moved the tail past it; its slot belongs to
// whoever then moved the slot's word from exactly what the position before left
// there. Both are compare-and-swaps, and the second is what makes it safe: a
// writer that slept for a whole turn of the ring finds another word there and
// gives up, instead of writing into a slot that is somebody else's by then.
//
//   word of slot i before position p = i, i + N, i + 2N, ... claims it:
//     0                     no position has used the slot
//     (p - N) << 3 | kFree  the flusher, or a late writer, has let go of it
//     (p - N) << 3 | kSkipped  a writer of p - N may still write: p does not
//     get it
//
// Memory ordering: everything that a writer stored before Commit() is visible
// to the flusher when Take...() has returned that slot; everything that the
// flusher read of a slot happened before the writer that claims it next stores
// to it.
//
// Death at any point leaves words that recovery (recovery.h) can read without
// the rest: a word says for itself which position it is of and how far that
// position got.

#ifndef RINGLOG_RING_SLOT_H_
#define RINGLOG_RING_SLOT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Slots [position, position + slot_count).
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
// Of untrusted words, a value that is no enumerator too.
constexpr SlotState WordState(uint64_t word) {
  return static_cast<SlotState>(word & kSlotStateMask);
}

// What all checksums of a ring begin with, so that nothing that another ring
// left in reused disk blocks passes for this one's.
inline absl::crc32c_t ChecksumSeed(const uint8_t (&ring_id)[16]) {
  return absl::ComputeCrc32c(absl::string_view(
      reinterpret_cast<const char*>(ring_id), sizeof ring_id));
}

// The checksum of a slot with `payload_bytes` of payload: over everything from
// part_index on.
inline absl::crc32c_t SlotChecksum(absl::crc32c_t seed, const void* slot,
                                   size_t payload_bytes) {
  constexpr size_t kBegin = offsetof(SlotHeader, part_index);
  return absl::ExtendCrc32c(
      seed, absl::string_view(static_cast<const char*>(slot) + kBegin,
                              sizeof(SlotHeader) - kBegin + payload_bytes));
}

// The slots of one mapped ring. Thread-safe as each method says. Does not own
// the mapping.
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
        // before has ended reading or writing it.
        // Death here: kFilling. Recovery names the position, and returns
        // nothing of the slot's old content.
        if (CompareAndSwap(word, &seen, PackWord(position, SlotState::kFilling),
                           __ATOMIC_ACQUIRE)) {
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
    StoreHeader(slot, header);
    unsigned char* const payload = slot + sizeof header;
    if (!head.empty()) std::memcpy(payload, head.data(), head.size());
    if (!body.empty()) {
      std::memcpy(payload + head.size(), body.data(), body.size());
    }
    header.crc32c = static_cast<uint32_t>(
        SlotChecksum(layout_.seed, slot, head.size() + body.size()));
    StoreHeader(slot, header);
  }

  // kFilling -> kFilled: the moment that the record exists, when it is the slot
  // that begins it. False if the flusher has gone past; the slot is free then.
  //
  // Death before: the payload may be whole, but the record does not exist.
  // Death after: recovery returns it.
  bool CommitSlot(uint64_t position) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = PackWord(position, SlotState::kFilling);
    // Release pairs with the acquire in StateOf().
    if (CompareAndSwap(word, &seen, PackWord(position, SlotState::kFilled),
                       __ATOMIC_RELEASE)) {
      return true;
    }
    // The mark may move on to later positions while this thread looks.
    while (WordState(seen) == SlotState::kSkipped) {
      const uint64_t free = PackWord(WordPosition(seen), SlotState::kFree);
      if (CompareAndSwap(word, &seen, free, __ATOMIC_RELEASE)) break;
    }
    return false;
  }

  // --- The flusher, or with OverflowPolicy::kOverwriteOldest any writer
  // -------

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
    while (WordPosition(seen) != position || seen == 0) {
      if (WordState(seen) != SlotState::kSkipped) return Seen::kPending;
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
  Passed Pass(uint64_t position) {
    uint64_t* const word = WordOf(position);
    uint64_t seen = Load(word, __ATOMIC_RELAXED);
    if (seen == PackWord(position, SlotState::kFilling)) {
      return CompareAndSwap(word, &seen,
                            PackWord(position, SlotState::kSkipped),
                            __ATOMIC_RELAXED)
                 ? Passed::kRecordGivenUp
                 : Passed::kNotPending;
    }
    if (seen == WordBefore(position)) {
      return CompareAndSwap(word, &seen, PackWord(position, SlotState::kFree),
                            __ATOMIC_RELAXED)
                 ? Passed::kNothingBegun
                 : Passed::kNotPending;
    }
    return Passed::kNotPending;
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
    const SlotHeader header = LoadHeader(SlotOf(position));
    *severity =
        header.part_index == 0 && header.part_count != 0 ? header.severity : -1;
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
  // written is given up, everything before is free. Requires: no other thread.
  void ResumeAt(uint64_t begin, uint64_t tail) {
    for (uint64_t p = tail > slot_count() ? tail - slot_count() : 0; p < tail;
         ++p) {
      const uint64_t word = Load(WordOf(p), __ATOMIC_RELAXED);
      const bool committed = WordState(word) == SlotState::kFilled ||
                             WordState(word) == SlotState::kPersisting;
      if (p < layout_.first_position) continue;
      Store(WordOf(p),
            PackWord(p, p >= begin && committed && WordPosition(word) == p
                            ? SlotState::kFilled
                            : SlotState::kFree),
            __ATOMIC_RELAXED);
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
  // All of the header but its word. Requires: Look() said kFilled or
  // kPersisting, or the caller checks the word afterwards.
  static SlotHeader LoadHeader(const unsigned char* slot) {
    const auto* const words = reinterpret_cast<const uint64_t*>(slot);
    uint64_t copy[kHeaderWords] = {};
    for (size_t i = 1; i < kHeaderWords; ++i) {
      copy[i] = Load(words + i, __ATOMIC_RELAXED);
    }
    SlotHeader header;
    std::memcpy(&header, copy, sizeof header);
    return header;
  }

  // Counters: relaxed, for they order nothing; a reader from outside may see
  // one a moment before another.
  static void Add(uint64_t* counter, uint64_t n) {
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
  }
  static uint64_t Get(const uint64_t* counter) {
    return Load(counter, __ATOMIC_RELAXED);
  }
  static void Set(uint64_t* counter, uint64_t n) {
    Store(counter, n, __ATOMIC_RELAXED);
  }
  // The persist cursor's selector: release, so that the cursor is whole before
  // it is the one that counts. Death between the two leaves the old one valid.
  static void Publish(uint64_t* selector, uint64_t n) {
    Store(selector, n, __ATOMIC_RELEASE);
  }

 private:
  static constexpr size_t kHeaderWords = sizeof(SlotHeader) / sizeof(uint64_t);

  // All but the word. Relaxed atomics, for EvictSlot() may look at a header
  // that is being overwritten; it finds that out by the word.
  static void StoreHeader(unsigned char* slot, const SlotHeader& header) {
    auto* const words = reinterpret_cast<uint64_t*>(slot);
    uint64_t copy[kHeaderWords];
    std::memcpy(copy, &header, sizeof header);
    for (size_t i = 1; i < kHeaderWords; ++i) {
      Store(words + i, copy[i], __ATOMIC_RELAXED);
    }
  }

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
