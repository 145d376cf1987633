// MemoryModel
//
// The memory that the threads of a modelled program share: a few integers of 8
// bytes under the C++ memory model, without fences, consume, and sequentially
// consistent accesses.
//
// Each location has its stores in modification order. Each thread has a view:
// for each location, the newest store that it must know. A load may return any
// store that is not older than the view. A store may take any place in the
// order after the view, except directly after the store that a
// compare-and-swap has replaced. A release adds the thread's view to the store;
// an acquire adds the store's view to the thread's. A compare-and-swap hands
// on the view of the store that it replaces (a release sequence).
//
// Source: J. Kang et al., "A Promising Semantics for Relaxed-Memory
// Concurrency", POPL 2017, section 4, without promises.
//
// Thread-compatible.

#ifndef RINGLOG_TESTING_EXPLORER_MEMORY_MODEL_H_
#define RINGLOG_TESTING_EXPLORER_MEMORY_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringlog/ring/access_site.h"

namespace ringlog {

// An access that a thread makes next. Orders are __ATOMIC_* constants.
struct ModelledAccess {
  enum Kind : uint8_t { kLoad, kStore, kSwap };
  AccessSite site;
  Kind kind;
  int location;
  uint64_t expected;  // of a swap
  uint64_t desired;   // of a store or a swap
  int order;
  int failure_order;  // of a swap
};

class MemoryModel {
 public:
  static constexpr size_t kMaxLocations = 16;

  explicit MemoryModel(int thread_count) : views_(thread_count) {}

  // Adds the integer at `address`, with its present value as the oldest store,
  // which all threads know. Returns its number: 0, 1, 2, ... The integer always
  // has the value of the newest store, and must outlive the model.
  // Requires: fewer than kMaxLocations locations.
  int AddLocation(uint64_t* address);
  // Returns the number of the integer at `address`, or -1.
  int LocationOf(const uint64_t* address) const;

  // Returns the places in modification order at which the thread may make the
  // access: of the store to read, or of the new store.
  std::vector<int> PlacesOf(int thread, const ModelledAccess& access) const;

  // Makes the access at one of these places. Returns the value that it read; of
  // a store, 0. A swap stores if it read `expected`.
  uint64_t Perform(int thread, const ModelledAccess& access, int place);

  // Reads or writes memory that is not atomic, and that location `location`
  // stands for. Returns false if this is a data race: the thread need not know
  // of the last use.
  bool Use(int thread, int location);

  // Appends everything on which later accesses of the threads `live` depend.
  void AppendState(const std::vector<int>& live, std::string* state) const;

 private:
  // For each location, the number of a store. Store 0 is the oldest.
  using View = std::array<uint8_t, kMaxLocations>;
  struct Store {
    uint64_t value;
    View view;
    bool is_swap;
  };
  struct Location {
    uint64_t* address;
    std::vector<Store> stores;
    std::vector<uint8_t> order;   // numbers of stores
    std::vector<uint8_t> places;  // of the stores in `order`, by number
  };

  int PlaceOf(int location, uint8_t store) const {
    return locations_[static_cast<size_t>(location)].places[store];
  }
  void Join(View* view, const View& other) const;
  uint8_t AddStore(int location, int place, uint64_t value, bool is_swap);

  std::vector<Location> locations_;
  std::vector<View> views_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_EXPLORER_MEMORY_MODEL_H_
