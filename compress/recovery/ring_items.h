// The records and gaps of a leftover ring as batches for a segment.

#ifndef RINGLOG_COMPRESS_RECOVERY_RING_ITEMS_H_
#define RINGLOG_COMPRESS_RECOVERY_RING_ITEMS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_recovery.h"

namespace ringlog {

struct LeftoverReport {
  // More gaps are only counted: a damaged ring may have millions.
  static constexpr size_t kMaxListedGaps = 1000;

  std::string ring_path;
  // The segment that has the ring's last records or gaps; empty if the ring had
  // none for it.
  std::string segment_path;
  uint64_t records = 0;    // number of records that only the ring had
  uint64_t gap_count = 0;  // gaps written to the segment
  uint64_t losses = 0;     // gaps of these that cost acknowledged records
  std::vector<Gap> gaps;   // the first kMaxListedGaps of these gaps
};

// Adds the items of `ring` from `point.first_position` on to batches, in this
// order:
//   1. records and gaps, by position;
//   2. drops that no segment reports yet;
//   3. crash reports, which a later attempt, after another boot, skips by their
//      positions.
// Calls `write` when a batch has 64 KiB, and for the last batch; `write` must
// clear the batch. Counts records and gaps in `report`.
// Errors are those of `ring` and of `write`.
// Requires: `ring` is before its first item.
absl::Status AddRingItems(RingRecovery* ring, const ResumePoint& point,
                          LineFormat format,
                          absl::FunctionRef<absl::Status(BatchBuilder*)> write,
                          LeftoverReport* report);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_RING_ITEMS_H_
