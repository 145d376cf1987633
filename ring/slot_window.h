// SlotWindow
//
// The slots of a ring by number, read through a RingSource. Reading them in
// ascending order reads each byte of the file once.

#ifndef RINGLOG_RING_SLOT_WINDOW_H_
#define RINGLOG_RING_SLOT_WINDOW_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_source.h"

namespace ringlog {

// Thread-compatible. `source` must outlive it. Nothing else may read from
// `source` while a view of a slot is used.
class SlotWindow {
 public:
  // A ring with `slot_count` slots of `slot_bytes` bytes at `slots_offset`.
  SlotWindow(RingSource* source, uint64_t slots_offset, uint64_t slot_bytes,
             uint64_t slot_count);

  // Returns the number of slots that the file is long enough for.
  uint64_t present() const { return present_; }

  // Returns the bytes of slot `index`, valid until the next call. Returns an
  // empty view if the file ends before the slot does, or after an error.
  absl::string_view At(uint64_t index) {
    const uint64_t offset = OffsetOf(index);
    if (!IsAtHand(offset) && !Load(index)) return {};
    return window_.substr(offset - window_offset_, slot_bytes_);
  }

  // Returns the number of slots from slot `index` on that are in a hole of the
  // file: all their bytes are zero. 0 if there is none, or if holes are
  // unknown.
  uint64_t UnusedFrom(uint64_t index) {
    return IsAtHand(OffsetOf(index)) ? 0 : FindUnused(index);
  }

  // Returns the first error of reading. The results of all later calls are
  // empty.
  const absl::Status& status() const { return status_; }

  // Forgets the window, because the source has been read otherwise.
  void Forget() { window_ = {}; }

 private:
  uint64_t OffsetOf(uint64_t index) const {
    return slots_offset_ + index * slot_bytes_;
  }
  bool IsAtHand(uint64_t offset) const {
    return offset >= window_offset_ &&
           offset + slot_bytes_ <= window_offset_ + window_.size();
  }
  // Reads the slot, and those after it as far as they are at hand. Returns
  // false if the slot is not there.
  bool Load(uint64_t index);
  uint64_t FindUnused(uint64_t index);

  RingSource* const source_;
  const uint64_t slots_offset_;
  const uint64_t slot_bytes_;
  const uint64_t present_;
  absl::string_view window_;
  uint64_t window_offset_ = 0;
  absl::Status status_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_SLOT_WINDOW_H_
