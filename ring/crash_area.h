// CrashArea
//
// The part of a ring into which a signal handler can write: a report of why the
// process dies, piece by piece, beside the slots, so that neither a full ring
// nor an Append() that the signal interrupted is in its way. crash_report.h
// reads it, ring/FORMAT.md has the format.
//
//   ring->crash_area().Append(tid, time_ns, "*** SIGSEGV received\n");
//   ring->crash_area().End(tid, time_ns);

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

// `seed` is ChecksumSeed(). Never 0, which is what a cell has that is not
// complete.
inline uint32_t CrashCellChecksum(absl::crc32c_t seed, const CrashCell& cell) {
  constexpr size_t kBegin = offsetof(CrashCell, thread_id);
  const auto checksum = static_cast<uint32_t>(absl::ExtendCrc32c(
      seed, absl::string_view(reinterpret_cast<const char*>(&cell) + kBegin,
                              sizeof cell - kBegin)));
  return checksum != 0 ? checksum : 1;
}

// A view of memory that has to outlive it. Thread-safe: threads write side by
// side, each its own report.
//
// Guarantees: text whose Append() returned is there after any end of the
// process, as far as there was room; of one that was interrupted, all but the
// last kCrashTextBytes of what had been copied. What finds no room is counted.
class CrashArea {
 public:
  // `seed` is ChecksumSeed() of the ring. The calling process is the owner. An
  // area that is not aligned to a cell has room for nothing.
  CrashArea(absl::Span<unsigned char> area, absl::crc32c_t seed);

  // Goes on with the report of the thread `tid`, or begins one.
  //
  // Context: any thread, also in a signal handler; no lock, no allocation, no
  // system call, 100 bytes of stack.
  void Append(int32_t thread_id, int64_t time_ns, absl::string_view text) const;

  // The report of the thread is complete; what it appends from here on is
  // another one.
  //
  // Context: that of Append().
  void End(int32_t thread_id, int64_t time_ns) const;

  // True if nothing was ever appended.
  bool empty() const;

  // The process that may write. A forked child has its parent's mapping, which
  // is none of its business.
  pid_t owner() const { return owner_; }

 private:
  // The first of `count` cells that are now the caller's, as far as they are
  // below cell_count_.
  uint64_t Reserve(uint64_t count) const;
  void Fill(uint64_t index, CrashCell cell) const;

  unsigned char* const area_;
  const uint64_t cell_count_;  // the head is the first; 0: there is no area
  const absl::crc32c_t seed_;
  const pid_t owner_;
};

struct CrashReport {
  int32_t thread_id = 0;
  int64_t time_ns = 0;  // Unix time at which it began
  int signal = 0;       // as its text has it; 0 if it does not say
  // Where cells are damaged, "[up to N bytes are missing here]".
  std::string text;
  // By how much it is longer than what found room. Of several that have no end,
  // the last one has it.
  uint64_t lost_bytes = 0;
  bool is_complete = false;  // its writer got to the end
};

// The reports in `area`, in the order in which they began. `seed` is
// ChecksumSeed() of the ring. There are fewer than cells, and their text is not
// much longer than the area.
std::vector<CrashReport> ReadCrashArea(absl::string_view area,
                                       absl::crc32c_t seed);

// The signal that a report of absl::InstallFailureSignalHandler() begins with:
// "*** SIGSEGV received" or "*** Signal 11 received". 0 if it is none.
int SignalOfReport(absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_RING_CRASH_AREA_H_
