#include "ringlog/ring/crash_area.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

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

// Most areas are empty, and memcmp(3) is many times faster than a loop.
bool IsZero(absl::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == '\0' &&
          std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

class Reader {
 public:
  explicit Reader(absl::crc32c_t seed) : seed_(seed) {}

  void Add(const CrashCell& cell) {
    if (cell.crc32c == 0 || cell.crc32c != CrashCellChecksum(seed_, cell)) {
      ++mismatched_cells_;
      return;
    }
    if (cell.kind == static_cast<uint8_t>(CrashCellKind::kText)) {
      AddText(cell);
    } else if (cell.kind == static_cast<uint8_t>(CrashCellKind::kEnd)) {
      const auto open = open_.find(cell.thread_id);
      if (open == open_.end()) return;
      reports_[open->second.report].is_complete = true;
      open_.erase(open);
    }
  }

  std::vector<CrashReport> Finish(uint64_t lost_bytes) {
    for (CrashReport& report : reports_) {
      report.signal = SignalOfReport(report.text);
    }
    if (lost_bytes == 0 || reports_.empty()) return std::move(reports_);
    // A report without an end lost its end together with the text.
    auto last = std::find_if(
        reports_.rbegin(), reports_.rend(),
        [](const CrashReport& report) { return !report.is_complete; });
    if (last == reports_.rend()) last = reports_.rbegin();
    last->lost_bytes = lost_bytes;
    return std::move(reports_);
  }

 private:
  struct OpenReport {
    size_t report;
    // Number of mismatched cells before its last cell.
    uint64_t mismatched_cells;
  };

  void AddText(const CrashCell& cell) {
    const auto [place, is_new] = open_.emplace(
        cell.thread_id, OpenReport{reports_.size(), mismatched_cells_});
    OpenReport& open = place->second;
    if (is_new) {
      reports_.emplace_back();
      reports_.back().thread_id = cell.thread_id;
      reports_.back().time_ns = cell.time_ns;
    }
    CrashReport& report = reports_[open.report];
    // The writers of mismatched cells are unknown, so each open report may miss
    // their text.
    if (open.mismatched_cells != mismatched_cells_) {
      absl::StrAppend(
          &report.text, "[up to ",
          (mismatched_cells_ - open.mismatched_cells) * kCrashTextBytes,
          " bytes are missing here]");
      open.mismatched_cells = mismatched_cells_;
    }
    report.text.append(cell.text,
                       std::min<size_t>(cell.text_bytes, sizeof cell.text));
  }

  const absl::crc32c_t seed_;
  std::vector<CrashReport> reports_;
  // Key: thread id.
  std::map<int32_t, OpenReport> open_;
  uint64_t mismatched_cells_ = 0;
};

}  // namespace

CrashArea::CrashArea(absl::Span<unsigned char> area, absl::crc32c_t seed)
    : area_(area.data()),
      cell_count_(CellsIn(area)),
      seed_(seed),
      owner_(getpid()) {}

uint64_t CrashArea::Reserve(uint64_t count) const {
  if (cell_count_ == 0) return 0;
  // Relaxed: the counter hands out numbers, and cells are read only after the
  // process has died.
  return 1 + __atomic_fetch_add(&HeadOf(area_)->used_cells, count,
                                __ATOMIC_RELAXED);
}

// Death here: the checksum is zero until the last store, so readers ignore an
// incomplete cell. Other cells do not depend on it.
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

std::vector<CrashReport> ReadCrashArea(absl::string_view area,
                                       absl::crc32c_t seed) {
  if (IsZero(area)) return {};
  const size_t count = area.size() / sizeof(CrashCell);
  Reader reader(seed);
  for (size_t i = 1; i < count; ++i) {
    CrashCell cell;
    std::memcpy(&cell, area.data() + i * sizeof cell, sizeof cell);
    reader.Add(cell);
  }
  CrashAreaHead head = {};
  std::memcpy(&head, area.data(), std::min(area.size(), sizeof head));
  // Text is lost only if the area is full. The head has no checksum.
  const bool is_full = count > 0 && head.used_cells >= count;
  return reader.Finish(is_full ? head.lost_bytes : 0);
}

int SignalOfReport(absl::string_view text) {
  constexpr std::pair<absl::string_view, int> kNames[] = {
      {"SIGSEGV", SIGSEGV}, {"SIGILL", SIGILL},   {"SIGFPE", SIGFPE},
      {"SIGABRT", SIGABRT}, {"SIGTERM", SIGTERM}, {"SIGBUS", SIGBUS},
      {"SIGTRAP", SIGTRAP}};
  if (!absl::ConsumePrefix(&text, "*** ")) return 0;
  const size_t end = text.find(" received");
  if (end == absl::string_view::npos) return 0;
  text = text.substr(0, end);
  for (const auto& [name, number] : kNames) {
    if (text == name) return number;
  }
  int number = 0;
  return absl::ConsumePrefix(&text, "Signal ") &&
                 absl::SimpleAtoi(text, &number) && number > 0 && number < NSIG
             ? number
             : 0;
}

}  // namespace ringlog
