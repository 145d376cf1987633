// CrashArea
//
// The part of a ring that signal handlers write to. Each dying thread writes a
// crash report into cells. The crash area is separate from the slots, so that
// neither a full ring nor an interrupted Ring::Append() prevents a report.
// ReadCrashArea() reads the reports after the process has died. ring/FORMAT.md,
// "The crash area", has the format.
//
//   ring->crash_area().Append(thread_id, time_ns, "*** SIGSEGV received\n");
//   ring->crash_area().End(thread_id, time_ns);

#ifndef RINGLOG_RING_CRASH_AREA_H_
#define RINGLOG_RING_CRASH_AREA_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Returns the checksum of a cell. `seed` is ChecksumSeed() of the ring. Never
// 0, because 0 marks an incomplete cell.
inline uint32_t CrashCellChecksum(absl::crc32c_t seed, const CrashCell& cell) {
  constexpr size_t kBegin = offsetof(CrashCell, thread_id);
  const auto checksum = static_cast<uint32_t>(absl::ExtendCrc32c(
      seed, absl::string_view(reinterpret_cast<const char*>(&cell) + kBegin,
                              sizeof cell - kBegin)));
  return checksum != 0 ? checksum : 1;
}

// A view of memory that must outlive it. Thread-safe: several threads may write
// at once, each its own report.
//
// Guarantees:
// - Text whose Append() has returned survives any end of the process, as far as
//   there was room.
// - If the process ends during Append(), at most the last kCrashTextBytes
//   copied bytes are lost.
// - Bytes of text that find no room are counted.
class CrashArea {
 public:
  // `seed` is ChecksumSeed() of the ring. The calling process becomes the
  // owner. An area that is not aligned to 64 bytes has no room. In that case
  // text is neither stored nor counted.
  CrashArea(absl::Span<unsigned char> area, absl::crc32c_t seed);

  // Begins or continues the report of thread `thread_id`. `time_ns` is the Unix
  // time in nanoseconds.
  // Requires: the calling process is the owner.
  //
  // Context: any thread, also in a signal handler; no lock, no allocation, no
  // system call, 100 bytes of stack.
  void Append(int32_t thread_id, int64_t time_ns, absl::string_view text) const;

  // Completes the report of thread `thread_id`. Text that the thread appends
  // afterwards begins another report.
  //
  // Requirement and context: see Append().
  void End(int32_t thread_id, int64_t time_ns) const;

  // Returns true if nothing was ever appended.
  bool empty() const;

  // Returns the id of the process that may write. A forked child must not
  // write, although it may have a CrashArea object.
  pid_t owner() const { return owner_; }

 private:
  // Reserves `count` cells and returns the index of the first. Cells at or
  // beyond cell_count_ do not exist.
  uint64_t Reserve(uint64_t count) const;
  void Fill(uint64_t index, CrashCell cell) const;

  unsigned char* const area_;
  // Number of cells, including the head; 0 if there is no area.
  const uint64_t cell_count_;
  const absl::crc32c_t seed_;
  const pid_t owner_;
};

struct CrashReport {
  int32_t thread_id = 0;
  // Unix time of the first cell, in nanoseconds.
  int64_t time_ns = 0;
  // The signal that the text names; 0 if it names none.
  int signal = 0;
  // Has "[up to N bytes are missing here]" in place of damaged cells.
  std::string text;
  // Bytes of text that found no room. If several reports have no end, the last
  // of them gets the count.
  uint64_t lost_bytes = 0;
  // True if the report has its end.
  bool is_complete = false;
};

// Reads the reports in `area`, in the order of their first cells. `seed` is
// ChecksumSeed() of the ring. The bytes are untrusted. There are fewer reports
// than cells, and their text is bounded by the size of the area and one mark
// per cell.
std::vector<CrashReport> ReadCrashArea(absl::string_view area,
                                       absl::crc32c_t seed);

// Returns the number of the signal in the first line of
// absl::InstallFailureSignalHandler(), such as "*** SIGSEGV received" or "***
// Signal 11 received". Returns 0 for other text.
int SignalOfReport(absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_RING_CRASH_AREA_H_
