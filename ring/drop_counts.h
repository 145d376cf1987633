// DropCounts: numbers of dropped records, by cause and severity.

#ifndef RINGLOG_RING_DROP_COUNTS_H_
#define RINGLOG_RING_DROP_COUNTS_H_

#include <array>
#include <cstdint>

#include "ringlog/ring/severity.h"

namespace ringlog {

// The cause of a drop: the record did not enter the ring, or left it unread.
// The values are frozen in the file format.
enum class DropCause : uint8_t {
  kRingFull = 0,     // OverflowPolicy::kDropNewest: the ring was full
  kTimedOut = 1,     // OverflowPolicy::kBlock: full until the deadline
  kOverwritten = 2,  // OverflowPolicy::kOverwriteOldest: a newer record took
                     // its slots
  kClosed = 3,       // logged after the log was closed
};
inline constexpr int kDropCauseCount = 4;

// Numbers of dropped records, as counts[DropCause][Severity].
using DropCounts =
    std::array<std::array<uint64_t, kSeverityCount>, kDropCauseCount>;

}  // namespace ringlog

#endif  // RINGLOG_RING_DROP_COUNTS_H_
