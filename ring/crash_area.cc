#include "ringlog/ring/crash_area.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ringlog/ring/crash_cell.h"

namespace ringlog {
namespace {

CrashAreaHead* HeadOf(unsigned char* area) {
  return reinterpret_cast<CrashAreaHead*>(area);
}

uint64_t CellsIn(absl::Span<unsigned char> area) {
  const bool is_aligned =
      reinterpret_cast<uintptr_t>(area.data()) % sizeof(CrashCell) == 0;
  return is_aligned ? area.size() / sizeof(CrashCell) : 0;
}

}  // namespace

CrashArea::CrashArea(absl::Span<unsigned char> area, absl::crc32c_t seed)
    : area_(area.data()),
      cell_count_(CellsIn(area)),
      seed_(seed),
      owner_(getpid()) {}

uint64_t CrashArea::Reserve(uint64_t count) const {
  if (cell_count_ == 0) return 0;
  // Relaxed: it hands out numbers, and cells are read when all is over.
  return 1 + __atomic_fetch_add(&HeadOf(area_)->used_cells, count,
                                __ATOMIC_RELAXED);
}

// Death before the last store leaves a checksum of zero, which does not fit:
// the cell counts for nothing, and those before and behind it do not need it.
void CrashArea::Fill(uint64_t index, CrashCell cell) const {
  const uint32_t checksum = CrashCellChecksum(seed_, cell);
  unsigned char* const at = area_ + index * sizeof cell;
  cell.crc32c = 0;
  std::memcpy(at, &cell, sizeof cell);
  __atomic_store_n(reinterpret_cast<uint32_t*>(at), checksum, __ATOMIC_RELEASE);
}

void CrashArea::Append(int32_t thread_id, int64_t time_ns,
                       absl::string_view text) const {
  const uint64_t count = (text.size() + kCrashTextBytes - 1) / kCrashTextBytes;
  if (count == 0) return;
  for (uint64_t i = Reserve(count); !text.empty(); ++i) {
    if (i >= cell_count_) break;
    CrashCell cell = {};
    cell.thread_id = thread_id;
    cell.time_ns = time_ns;
    cell.kind = static_cast<uint8_t>(CrashCellKind::kText);
    const size_t size = std::min(text.size(), kCrashTextBytes);
    cell.text_bytes = static_cast<uint8_t>(size);
    std::memcpy(cell.text, text.data(), size);
    Fill(i, cell);
    text.remove_prefix(size);
  }
  if (!text.empty() && cell_count_ != 0) {
    __atomic_fetch_add(&HeadOf(area_)->lost_bytes, text.size(),
                       __ATOMIC_RELAXED);
  }
}

void CrashArea::End(int32_t thread_id, int64_t time_ns) const {
  const uint64_t i = Reserve(1);
  if (i >= cell_count_) return;
  CrashCell cell = {};
  cell.thread_id = thread_id;
  cell.time_ns = time_ns;
  cell.kind = static_cast<uint8_t>(CrashCellKind::kEnd);
  Fill(i, cell);
}

bool CrashArea::empty() const {
  return cell_count_ == 0 ||
         __atomic_load_n(&HeadOf(area_)->used_cells, __ATOMIC_RELAXED) == 0;
}

}  // namespace ringlog
