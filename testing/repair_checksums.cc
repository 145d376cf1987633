#include "ringlog/testing/repair_checksums.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"

namespace ringlog {
namespace {

constexpr size_t kHeaderOffsets[] = {0, 2048};
constexpr uint64_t kMinHeaderBytes = 448;
constexpr uint64_t kMaxHeaderBytes = 2048;
constexpr size_t kRingIdOffset = 88;
constexpr size_t kRingIdBytes = 16;
constexpr uint64_t kCursorOffsets[] = {512, 1024};  // from live_offset on
constexpr uint64_t kCursorBytes = 512;
constexpr uint64_t kStateOffset = 24;  // in a cursor
constexpr uint64_t kSlotHeaderBytes = 32;
constexpr uint64_t kCellBytes = 64;  // of the crash area
constexpr absl::string_view kMetadataFrameMagic("\x57\x2a\x4d\x18", 4);
constexpr absl::string_view kMetadataMagic("\x89RLOGMET", 8);

// Little-endian, as every machine that this runs on. Zero behind the end.
template <typename Int>
Int IntAt(absl::string_view bytes, uint64_t offset) {
  Int value = 0;
  if (offset <= bytes.size() && bytes.size() - offset >= sizeof value) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
  }
  return value;
}

void Put(uint64_t offset, absl::crc32c_t crc, std::string* bytes) {
  const auto value = static_cast<uint32_t>(crc);
  std::memcpy(bytes->data() + offset, &value, sizeof value);
}

class RingRepair {
 public:
  RingRepair(std::string* ring, RepairChoice choose)
      : ring_(ring), choose_(choose) {}

  void Run() {
    for (const size_t offset : kHeaderOffsets) RepairHeader(offset);
    if (ring_->size() < kMinHeaderBytes) return;
    id_ = ring_->substr(kRingIdOffset, kRingIdBytes);
    const uint64_t live = IntAt<uint64_t>(*ring_, 56);
    for (const uint64_t offset : kCursorOffsets) {
      if (live <= ring_->size()) RepairCursor(live + offset);
    }
    RepairCells(IntAt<uint64_t>(*ring_, 64), IntAt<uint64_t>(*ring_, 72));
    const uint64_t slots = IntAt<uint64_t>(*ring_, 80);
    const uint64_t slot_bytes = IntAt<uint32_t>(*ring_, 28);
    if (slot_bytes < kSlotHeaderBytes) return;
    for (uint64_t at = slots;
         at <= ring_->size() && ring_->size() - at >= slot_bytes;
         at += slot_bytes) {
      RepairSlot(at, slot_bytes);
    }
  }

 private:
  void RepairHeader(size_t offset) {
    const uint64_t bytes = IntAt<uint32_t>(*ring_, offset + 16);
    if (bytes < kMinHeaderBytes || bytes > kMaxHeaderBytes ||
        offset + bytes > ring_->size() || !choose_()) {
      return;
    }
    Put(offset + bytes - 4,
        absl::ComputeCrc32c(ring_->substr(offset, bytes - 4)), ring_);
  }

  void RepairCursor(uint64_t offset) {
    if (IntAt<uint64_t>(*ring_, offset) == 0 ||
        ring_->size() - offset < kCursorBytes || !choose_()) {
      return;
    }
    Put(offset + kCursorBytes - 4,
        absl::ComputeCrc32c(id_ + ring_->substr(offset, kCursorBytes - 4)),
        ring_);
  }

  // Those that something is in.
  void RepairCells(uint64_t offset, uint64_t bytes) {
    for (uint64_t at = kCellBytes;
         at + kCellBytes <= bytes && offset <= ring_->size() &&
         ring_->size() - offset >= at + kCellBytes;
         at += kCellBytes) {
      const std::string rest = ring_->substr(offset + at + 4, kCellBytes - 4);
      if (rest.find_first_not_of('\0') == std::string::npos || !choose_()) {
        continue;
      }
      Put(offset + at, absl::ComputeCrc32c(id_ + rest), ring_);
    }
  }

  void RepairSlot(uint64_t offset, uint64_t slot_bytes) {
    const uint64_t end = kSlotHeaderBytes +
                         IntAt<uint16_t>(*ring_, offset + 24) +
                         IntAt<uint32_t>(*ring_, offset + 28);
    if (IntAt<uint64_t>(*ring_, offset + 16) == 0 || end > slot_bytes ||
        !choose_()) {
      return;
    }
    Put(offset + 8,
        absl::ComputeCrc32c(id_ + ring_->substr(offset + 12, end - 12)), ring_);
  }

  std::string* const ring_;
  const RepairChoice choose_;
  std::string id_;
};

}  // namespace

void RepairRingChecksums(std::string* ring, RepairChoice choose) {
  RingRepair(ring, choose).Run();
}

void RepairRingGeometry(std::string* ring) {
  if (ring->size() < kHeaderOffsets[1] + kMinHeaderBytes) return;
  const uint64_t file_bytes =
      IntAt<uint64_t>(*ring, 80) +
      IntAt<uint32_t>(*ring, 28) * IntAt<uint64_t>(*ring, 32);
  std::memcpy(ring->data() + 48, &file_bytes, sizeof file_bytes);
  std::memcpy(ring->data() + kHeaderOffsets[1], ring->data(), kMinHeaderBytes);
}

void RepairOpenFrameChecksum(absl::string_view segment, std::string* ring) {
  const uint64_t live = IntAt<uint64_t>(*ring, 56);
  for (const uint64_t offset : kCursorOffsets) {
    if (live > ring->size() || ring->size() - live < offset + kCursorBytes) {
      continue;
    }
    const uint64_t state = live + offset + kStateOffset;
    const uint64_t end = IntAt<uint64_t>(*ring, state + 24);
    const uint64_t begin = IntAt<uint64_t>(*ring, state + 32);
    if (begin > end || end > segment.size()) continue;
    Put(state + 40, absl::ComputeCrc32c(segment.substr(begin, end - begin)),
        ring);
  }
}

void RepairSegmentChecksums(std::string* segment, RepairChoice choose) {
  const absl::string_view all(*segment);
  for (size_t at = 0;
       (at = all.find(kMetadataFrameMagic, at)) != absl::string_view::npos;
       ++at) {
    const uint64_t bytes = IntAt<uint32_t>(all, at + 4);
    const absl::string_view payload = all.substr(at).substr(0, 8 + bytes);
    if (payload.size() != 8 + bytes || bytes < kMetadataMagic.size() + 4 ||
        payload.substr(8, kMetadataMagic.size()) != kMetadataMagic ||
        !choose()) {
      continue;
    }
    Put(at + 4 + bytes,
        absl::ComputeCrc32c(payload.substr(8, static_cast<size_t>(bytes) - 4)),
        segment);
  }
}

}  // namespace ringlog
