// A gap: a range of positions with missing records, and the cause.
//
// The functions are thread-safe.

#ifndef RINGLOG_RING_GAP_H_
#define RINGLOG_RING_GAP_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/ring/drop_counts.h"
#include "ringlog/ring/severity.h"

namespace ringlog {

// The values are frozen in the segment format.
enum class GapCause : uint8_t {
  kRingFull = 0,     // dropped, DropCause::kRingFull
  kTimedOut = 1,     // dropped, DropCause::kTimedOut
  kOverwritten = 2,  // dropped, DropCause::kOverwritten
  kClosed = 3,       // dropped, DropCause::kClosed
  // The process died while the record was being written. LOG() had not
  // returned.
  kUnfinished = 4,
  // A live writer did not commit in time, and the flusher skipped its record.
  kStuckWriter = 5,
  kChecksumMismatch = 6,  // the record's bytes do not match its checksum
  kMissing = 7,           // the slot does not have the position's record
};

// Returns "ring_full", "timed_out", "overwritten", "closed", "unfinished",
// "stuck_writer", "checksum_mismatch" or "missing".
absl::string_view GapCauseName(GapCause cause);

// Returns true if an acknowledged record is or may be lost. kUnfinished alone
// is no loss, because LOG() had not returned.
bool IsLoss(GapCause cause);

struct Gap {
  GapCause cause = GapCause::kMissing;
  // The missing positions, [first, end). Dropped records have no position; both
  // fields are then the position of the record after the drop.
  uint64_t first_position = 0;
  uint64_t end_position = 0;
  // Number of dropped records by severity; zeros for other causes.
  std::array<uint64_t, kSeverityCount> records = {};
  // Thread id of a stuck writer, as in its records; 0: unknown.
  int64_t thread_id = 0;
  // Unix times between which the gap arose, in nanoseconds; 0: unknown.
  int64_t first_time_ns = 0;
  int64_t last_time_ns = 0;
};

// Returns the sum of all counts.
uint64_t TotalOf(const DropCounts& drops);
// Adds `more` to `drops`.
void AddDrops(const DropCounts& more, DropCounts* drops);

// Returns a gap before `position` for each cause with more drops in `now` than
// in `before`. The times of the gaps are 0.
std::vector<Gap> DropGaps(const DropCounts& now, const DropCounts& before,
                          uint64_t position);

// Returns one sentence without a full stop for users, such as "812 INFO records
// dropped before position 4711: the ring was full".
std::string Describe(const Gap& gap);

}  // namespace ringlog

#endif  // RINGLOG_RING_GAP_H_
