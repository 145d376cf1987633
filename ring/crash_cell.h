// What the checksum of a cell of the crash area covers.

#ifndef RINGLOG_RING_CRASH_CELL_H_
#define RINGLOG_RING_CRASH_CELL_H_

#include <cstddef>
#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
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

}  // namespace ringlog

#endif  // RINGLOG_RING_CRASH_CELL_H_
