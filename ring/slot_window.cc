#include "ringlog/ring/slot_window.h"

#include <algorithm>

#include "absl/status/statusor.h"

namespace ringlog {
namespace {

uint64_t SlotsIn(uint64_t file_bytes, uint64_t slots_offset,
                 uint64_t slot_bytes, uint64_t slot_count) {
  const uint64_t bytes = file_bytes - std::min(file_bytes, slots_offset);
  return std::min(slot_count, bytes / slot_bytes);
}

}  // namespace

SlotWindow::SlotWindow(RingSource* source, uint64_t slots_offset,
                       uint64_t slot_bytes, uint64_t slot_count)
    : source_(source),
      slots_offset_(slots_offset),
      slot_bytes_(slot_bytes),
      present_(SlotsIn(source->size(), slots_offset, slot_bytes, slot_count)) {}

bool SlotWindow::Load(uint64_t index) {
  if (index >= present_ || !status_.ok()) return false;
  const uint64_t offset = OffsetOf(index);
  const absl::StatusOr<absl::string_view> bytes =
      source_->Read(offset, slot_bytes_);
  if (!bytes.ok()) {
    status_ = bytes.status();
    window_ = {};
    return false;
  }
  window_ = *bytes;
  window_offset_ = offset;
  return true;
}

uint64_t SlotWindow::FindUnused(uint64_t index) {
  if (index >= present_ || !status_.ok()) return 0;
  const uint64_t offset = OffsetOf(index);
  const uint64_t bytes = source_->EndOfHole(offset) - offset;
  return std::min(bytes / slot_bytes_, present_ - index);
}

}  // namespace ringlog
