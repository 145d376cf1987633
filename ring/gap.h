// A gap: records that are known to be missing, and why.

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

// These values are frozen in the segment format.
enum class GapCause : uint8_t {
  kRingFull = 0,     // dropped, DropCause::kRingFull
  kTimedOut = 1,     // dropped, DropCause::kTimedOut
  kOverwritten = 2,  // dropped, DropCause::kOverwritten
  kClosed = 3,       // dropped, DropCause::kClosed
  // The process died while the record was being written: it was never
  // acknowledged.
  kUnfinished = 4,
  // A live writer did not finish in time, and the flusher went past it.
  kStuckWriter = 5,
  kChecksumMismatch = 6,  // the record's bytes are not those that were written
  kMissing = 7,           // the slot holds something else
};

// "ring_full", "timed_out", "overwritten", "closed", "unfinished",
// "stuck_writer", "checksum_mismatch", "missing".
absl::string_view GapCauseName(GapCause cause);

// True if a record is missing that had been acknowledged, or might have been.
// kUnfinished alone is not: whoever wrote that record had not been told that it
// was safe.
bool IsLoss(GapCause cause);

struct Gap {
  GapCause cause = GapCause::kMissing;
  // The positions that are missing, [first, end). A dropped record never had
  // one: both are then the position of the record that follows the drop.
  uint64_t first_position = 0;
  uint64_t end_position = 0;
  // Of dropped records, how many by severity; zeros otherwise.
  std::array<uint64_t, kSeverityCount> records = {};
  // Of a stuck writer, the thread, as its record would have named it; 0: not
  // known.
  int64_t thread_id = 0;
  // Unix time between which it happened; 0: not known.
  int64_t first_time_ns = 0;
  int64_t last_time_ns = 0;
};

// All of them together.
uint64_t TotalOf(const DropCounts& drops);
// Adds `more` to `drops`.
void AddDrops(const DropCounts& more, DropCounts* drops);

// A gap for each cause by which more has been dropped in `now` than in
// `before`, in front of `position`.
std::vector<Gap> DropGaps(const DropCounts& now, const DropCounts& before,
                          uint64_t position);

// One sentence without a full stop, for people: "812 INFO records dropped
// before position 4711: the ring was full".
std::string Describe(const Gap& gap);

}  // namespace ringlog

#endif  // RINGLOG_RING_GAP_H_
