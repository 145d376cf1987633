// Recovery of a ring in memory, all at once. For tests, and for callers with
// small rings; RingRecovery (ring_recovery.h) does it piece by piece.

#ifndef RINGLOG_RING_RECOVERY_H_
#define RINGLOG_RING_RECOVERY_H_

#include <list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_recovery.h"

namespace ringlog {

// Movable. The views in a copy refer to the original.
struct RecoveredRing : RingSummary {
  // In order of position. Heads and bodies are views of the file's bytes or of
  // `assembled`.
  std::vector<RecoveredRecord> records;
  // In order of position.
  std::vector<Gap> gaps;
  // Heads and bodies of records that are not contiguous in the file.
  std::list<std::string> assembled;
};

// Recovers the ring file `file`. The result refers to these bytes, which must
// outlive it. Takes as much memory as all records and gaps need.
// Returns the errors of ParseRingHeader().
absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from);

// Recovers the ring file `file` with the given header.
// Requires: ParseRingHeader() or RebuildRingHeader() (ring_header_scan.h) has
// returned `header` for `file`.
RecoveredRing RecoverRing(absl::string_view file, const RingHeader& header,
                          RecoverFrom from);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECOVERY_H_
