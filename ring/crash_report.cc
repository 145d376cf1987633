#include "ringlog/ring/crash_report.h"

#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringlog/ring/crash_cell.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

// As nearly every area is. memcmp(3) is many times faster than a loop.
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
      ++unfit_cells_;
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
    // One that lost its end has lost the mark of it too.
    auto last = std::find_if(
        reports_.rbegin(), reports_.rend(),
        [](const CrashReport& report) { return !report.is_complete; });
    if (last == reports_.rend()) last = reports_.rbegin();
    last->lost_bytes = lost_bytes;
    return std::move(reports_);
  }

 private:
  struct Open {
    size_t report;
    uint64_t unfit_cells;  // up to its last cell
  };

  void AddText(const CrashCell& cell) {
    const auto [place, is_new] =
        open_.emplace(cell.thread_id, Open{reports_.size(), unfit_cells_});
    Open& open = place->second;
    if (is_new) {
      reports_.emplace_back();
      reports_.back().thread_id = cell.thread_id;
      reports_.back().time_ns = cell.time_ns;
    }
    CrashReport& report = reports_[open.report];
    // Whose they were, nobody knows.
    if (open.unfit_cells != unfit_cells_) {
      absl::StrAppend(&report.text, "[up to ",
                      (unfit_cells_ - open.unfit_cells) * kCrashTextBytes,
                      " bytes are missing here]");
      open.unfit_cells = unfit_cells_;
    }
    report.text.append(cell.text,
                       std::min<size_t>(cell.text_bytes, sizeof cell.text));
  }

  const absl::crc32c_t seed_;
  std::vector<CrashReport> reports_;
  std::map<int32_t, Open> open_;  // by thread
  uint64_t unfit_cells_ = 0;
};

}  // namespace

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
  // Nothing is lost before there is no room; the head has no checksum.
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
