// SlotAccess
//
// Atomic access to the words of slots, to the tail and to `released`. slot.h
// makes all of its accesses to these integers through this class.
//
// //testing/explorer compiles slot.h and ring.cc with another class of this
// name. That one runs them under each order of accesses that the C++ memory
// model permits. The sites tell it which access it sees.

#ifndef RINGLOG_RING_SLOT_ACCESS_H_
#define RINGLOG_RING_SLOT_ACCESS_H_

#include <cstdint>

#include "ringlog/ring/access_site.h"

namespace ringlog {

// All orders are __ATOMIC_* constants.
class SlotAccess {
 public:
  static uint64_t Load(AccessSite, const uint64_t* p, int order) {
    return __atomic_load_n(p, order);
  }

  static void Store(AccessSite, uint64_t* p, uint64_t value, int order) {
    __atomic_store_n(p, value, order);
  }

  // If `*p` is `*expected`, stores `desired` with the order `order` and returns
  // true. Otherwise sets `*expected` to the value of `*p`, by a load with the
  // order `failure_order`, and returns false.
  static bool CompareAndSwap(AccessSite, uint64_t* p, uint64_t* expected,
                             uint64_t desired, int order,
                             int failure_order = __ATOMIC_RELAXED) {
    return __atomic_compare_exchange_n(p, expected, desired, /*weak=*/false,
                                       order, failure_order);
  }
};

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_ACCESS_H_
