// Atomic access to integers of a ring that order nothing: its counters, and the
// request to rotate. A reader in another process may see the change of one
// integer earlier than that of another.

#ifndef RINGLOG_RING_RELAXED_H_
#define RINGLOG_RING_RELAXED_H_

#include <cstdint>

namespace ringlog {

inline void AddRelaxed(uint64_t* counter, uint64_t n) {
  __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

template <typename T>
T LoadRelaxed(const T* p) {
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}

template <typename T>
void StoreRelaxed(T* p, T value) {
  __atomic_store_n(p, value, __ATOMIC_RELAXED);
}

}  // namespace ringlog

#endif  // RINGLOG_RING_RELAXED_H_
