// RingProgram
//
// A Ring with writers and a flusher, as a program for the Explorer. It is
// compiled from ring.cc and slot.h as they are; only their accesses to memory
// are modelled.

#ifndef RINGLOG_TESTING_EXPLORER_RING_PROGRAM_H_
#define RINGLOG_TESTING_EXPLORER_RING_PROGRAM_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "ringlog/ring/overflow_policy.h"
#include "ringlog/testing/explorer/explorer.h"

namespace ringlog {

struct RingScenario {
  uint64_t slot_count = 2;
  OverflowPolicy overflow = OverflowPolicy::kDropNewest;
  // Records that are in the ring before the threads begin, of one slot each.
  int records_before = 0;
  // For each writer, the number of slots of each of its records.
  std::vector<std::vector<int>> writers;
  // The exploration ends where more positions are claimed: while a writer
  // sleeps, another one can evict and claim without end. 0: no bound.
  uint64_t max_positions = 0;
  // How often the flusher takes a record; 0: there is no flusher.
  int looks = 0;
  // How often the flusher skips a pending position.
  int skips = 0;
  // The flusher seals the ring last.
  bool seals = false;
};

// Deliberate faults.
struct RingFault {
  std::optional<WeakenedOrder> weakened;
  // A commit that fails does not erase the slot's header.
  bool keeps_late_headers = false;
};

// Explores the scenario until the first violation of an invariant:
// - A slot has one owner.
// - A record is taken once, with its content, and only if its commit succeeded;
//   the records of a writer keep their order.
// - After a death, recovery returns each committed record that the persist
//   cursor does not cover, and no other one. It reports none as missing.
// - At the end of the threads, no slot is claimed, and the ring can be sealed.
// - A skip meets no word that the protocol does not store.
Exploration ExploreRing(const RingScenario& scenario, const RingFault& fault);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_EXPLORER_RING_PROGRAM_H_
