#include "ringlog/testing/explorer/memory_model.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/log/check.h"

namespace ringlog {
namespace {

bool Acquires(int order) {
  return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL;
}
bool Releases(int order) {
  return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL;
}

}  // namespace

int MemoryModel::AddLocation(uint64_t* address) {
  CHECK_LT(locations_.size(), kMaxLocations);
  locations_.push_back({address, {{*address, {}, false}}, {0}, {0}});
  return static_cast<int>(locations_.size()) - 1;
}

int MemoryModel::LocationOf(const uint64_t* address) const {
  for (size_t i = 0; i < locations_.size(); ++i) {
    if (locations_[i].address == address) return static_cast<int>(i);
  }
  return -1;
}

void MemoryModel::Join(View* view, const View& other) const {
  for (size_t i = 0; i < locations_.size(); ++i) {
    const int location = static_cast<int>(i);
    if ((*view)[i] != other[i] &&
        PlaceOf(location, other[i]) > PlaceOf(location, (*view)[i])) {
      (*view)[i] = other[i];
    }
  }
}

uint8_t MemoryModel::AddStore(int location, int place, uint64_t value,
                              bool is_swap) {
  Location& at = locations_[location];
  CHECK_LT(at.stores.size(), std::numeric_limits<uint8_t>::max());
  const auto number = static_cast<uint8_t>(at.stores.size());
  at.stores.push_back({value, {}, is_swap});
  at.stores.back().view[location] = number;
  at.order.insert(at.order.begin() + place, number);
  at.places.push_back(0);
  for (size_t i = static_cast<size_t>(place); i < at.order.size(); ++i) {
    at.places[at.order[i]] = static_cast<uint8_t>(i);
  }
  if (at.order.back() == number) *at.address = value;
  return number;
}

std::vector<int> MemoryModel::PlacesOf(int thread,
                                       const ModelledAccess& access) const {
  const Location& at = locations_[access.location];
  const auto store_at = [&](int place) -> const Store& {
    return at.stores[at.order[place]];
  };
  const int known = PlaceOf(access.location, views_[thread][access.location]);
  const int count = static_cast<int>(at.order.size());
  std::vector<int> places;
  for (int place = known; place < count; ++place) {
    const bool is_replaced = place + 1 < count && store_at(place + 1).is_swap;
    switch (access.kind) {
      case ModelledAccess::kLoad:
        places.push_back(place);
        break;
      case ModelledAccess::kStore:
        if (!is_replaced) places.push_back(place + 1);
        break;
      case ModelledAccess::kSwap:
        if (store_at(place).value != access.expected || !is_replaced) {
          places.push_back(place);
        }
        break;
    }
  }
  return places;
}

uint64_t MemoryModel::Perform(int thread, const ModelledAccess& access,
                              int place) {
  const int location = access.location;
  View& view = views_[thread];
  if (access.kind == ModelledAccess::kStore) {
    view[location] = AddStore(location, place, access.desired, false);
    Store& added = locations_[location].stores.back();
    if (Releases(access.order)) added.view = view;
    return 0;
  }
  // A copy: a new store moves the old ones.
  const Store read =
      locations_[location].stores[locations_[location].order[place]];
  view[location] = locations_[location].order[place];
  const bool swaps =
      access.kind == ModelledAccess::kSwap && read.value == access.expected;
  const bool fails = access.kind == ModelledAccess::kSwap && !swaps;
  if (Acquires(fails ? access.failure_order : access.order)) {
    Join(&view, read.view);
  }
  if (swaps) {
    view[location] = AddStore(location, place + 1, access.desired, true);
    Store& added = locations_[location].stores.back();
    if (Releases(access.order)) added.view = view;
    Join(&added.view, read.view);
  }
  return read.value;
}

bool MemoryModel::Use(int thread, int location) {
  if (locations_[location].order.back() != views_[thread][location]) {
    return false;
  }
  const int end = static_cast<int>(locations_[location].order.size());
  views_[thread][location] = AddStore(location, end, 0, false);
  return true;
}

void MemoryModel::AppendState(const std::vector<int>& live,
                              std::string* state) const {
  // Nothing depends on stores that all live threads have passed.
  std::array<int, kMaxLocations> first = {};
  for (size_t i = 0; i < locations_.size(); ++i) {
    const int location = static_cast<int>(i);
    first[i] = static_cast<int>(locations_[i].order.size()) - 1;
    for (const int thread : live) {
      first[i] = std::min(first[i], PlaceOf(location, views_[thread][i]));
    }
  }
  const auto append_view = [&](const View& view) {
    char places[kMaxLocations];
    for (size_t i = 0; i < locations_.size(); ++i) {
      const int place = PlaceOf(static_cast<int>(i), view[i]);
      places[i] = static_cast<char>(std::max(0, place - first[i]));
    }
    state->append(places, locations_.size());
  };
  for (const int thread : live) append_view(views_[thread]);
  for (size_t i = 0; i < locations_.size(); ++i) {
    const Location& at = locations_[i];
    const size_t begin = static_cast<size_t>(first[i]);
    state->push_back(static_cast<char>(at.order.size() - begin));
    for (size_t place = begin; place < at.order.size(); ++place) {
      const Store& store = at.stores[at.order[place]];
      state->append(reinterpret_cast<const char*>(&store.value),
                    sizeof store.value);
      // The swap that made the first one cannot matter: no place is before it.
      state->push_back(store.is_swap && place > begin ? 1 : 0);
      append_view(store.view);
    }
  }
}

}  // namespace ringlog
