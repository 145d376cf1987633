// SlotAccess for a modelled memory
//
// Takes the place of ring/slot_access.h. A file that includes this header
// before any header of the ring compiles slot.h and ring.cc with it. Then each
// access to a shared integer, by a thread of an Explorer, is a step of that
// explorer. All other accesses go to memory.

#ifndef RINGLOG_TESTING_EXPLORER_MODELLED_SLOT_ACCESS_H_
#define RINGLOG_TESTING_EXPLORER_MODELLED_SLOT_ACCESS_H_

#ifdef RINGLOG_RING_SLOT_ACCESS_H_
#error "include modelled_slot_access.h before all headers of the ring"
#endif
// ring/slot_access.h then has no content.
#define RINGLOG_RING_SLOT_ACCESS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ringlog/ring/access_site.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot_word.h"
#include "ringlog/testing/explorer/explorer.h"
#include "ringlog/testing/explorer/memory_model.h"

namespace ringlog {

class SlotAccess {
 public:
  static uint64_t Load(AccessSite site, const uint64_t* p, int order) {
    last_address = p;
    const int location = LocationOf(p);
    if (location < 0) return *p;
    return Explorer::OfRunningThread()->Perform(
        {site, ModelledAccess::kLoad, location, 0, 0, order, order});
  }

  static void Store(AccessSite site, uint64_t* p, uint64_t value, int order) {
    const int location = LocationOf(p);
    if (location < 0) {
      *p = value;
      return;
    }
    Explorer::OfRunningThread()->Perform(
        {site, ModelledAccess::kStore, location, 0, value, order, order});
  }

  static bool CompareAndSwap(AccessSite site, uint64_t* p, uint64_t* expected,
                             uint64_t desired, int order,
                             int failure_order = __ATOMIC_RELAXED) {
    const uint64_t wanted = *expected;
    const int location = LocationOf(p);
    if (location < 0) {
      *expected = *p;
      if (*p == wanted) *p = desired;
    } else {
      Explorer* const explorer = Explorer::OfRunningThread();
      if (site == AccessSite::kSkipSwap && IsWild(wanted, desired)) {
        explorer->ReportViolation(
            "a skip met a word that the protocol does not store");
      }
      if (site == AccessSite::kCommitFreeLate && keeps_late_headers) {
        std::memcpy(p + 1, header_before_erasure, kHeaderBytes);
      }
      *expected = explorer->Perform({site, ModelledAccess::kSwap, location,
                                     wanted, desired, order, failure_order});
      if (site == AccessSite::kCommitSwap && *expected != wanted) {
        std::memcpy(header_before_erasure, p + 1, kHeaderBytes);
      }
    }
    return *expected == wanted;
  }

  // The address of the last load, so that a program can find the integers of a
  // ring.
  static inline const uint64_t* last_address = nullptr;

  // A deliberate fault: a commit that fails does not erase the slot's header.
  static inline bool keeps_late_headers = false;

 private:
  // Returns true if TrySkip() swaps a word that is neither free nor filling.
  static bool IsWild(uint64_t word, uint64_t next) {
    return WordState(next) == SlotState::kSkipped &&
           word != PackWord(WordPosition(next), SlotState::kFilling);
  }

  // The header without the word. One is enough: no other step comes between the
  // swap that fails and the first attempt to free the slot.
  static constexpr size_t kHeaderBytes = sizeof(SlotHeader) - sizeof(uint64_t);
  static inline unsigned char header_before_erasure[kHeaderBytes] = {};

  static int LocationOf(const uint64_t* p) {
    const Explorer* const explorer = Explorer::OfRunningThread();
    return explorer == nullptr ? -1 : explorer->LocationOf(p);
  }
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_EXPLORER_MODELLED_SLOT_ACCESS_H_
