// Recovery: reads the bytes of a dead process's ring into records and gaps.
//
// RecoverRing() is a pure function of untrusted bytes. It checks every offset,
// length, count and state before use, and returns a record only if its
// checksums match. It does not check that the process is dead
// (compress/recovery/leftover_recovery.h does), and takes the persist cursor as
// the only evidence of what is persisted.

#ifndef RINGLOG_RING_RECOVERY_H_
#define RINGLOG_RING_RECOVERY_H_

#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/slot_reader.h"

namespace ringlog {

struct RecoveredRecord {
  // Position of the first slot.
  uint64_t position = 0;
  // Number of positions.
  uint32_t slot_count = 0;
  // Views of the file's bytes or of RecoveredRing::assembled.
  absl::string_view head;
  absl::string_view body;
  // True if the record is a report of a signal handler from the crash area
  // instead of slots. Crash reports come last, at positions from
  // RecoveredRing::end_position on.
  bool is_crash_report = false;
};

// Numbers of slots by state. A committed slot is filled or persisting only if
// it is intact.
struct SlotCounts {
  uint64_t never_used = 0;
  uint64_t free = 0;
  uint64_t filling = 0;
  uint64_t filled = 0;
  uint64_t persisting = 0;
  uint64_t skipped = 0;
  // Committed with a mismatching checksum, or with an impossible word.
  uint64_t damaged = 0;
  // Missing at the end of a truncated file.
  uint64_t absent = 0;
};

// Movable. The views in a copy refer to the original.
struct RecoveredRing {
  RingHeader header = {};
  // As found in the file, not validated. Has the drop counters.
  RingLive live = {};
  // True if the file has all bytes of `live`. Missing bytes are zeros.
  bool has_live = false;
  // The persist cursor that counts: ParsePersistCursor() (ring_header.h).
  PersistCursor cursor = {};
  SlotCounts slots;
  // In order of position.
  std::vector<RecoveredRecord> records;
  // In order of position.
  std::vector<Gap> gaps;
  // End of the positions that were in use. Intact content and the cursor prove
  // positions. A word or the tail counts only if other evidence agrees
  // (ring/FORMAT.md, "Which positions are in use").
  uint64_t end_position = 0;
  // Heads and bodies of records that are not contiguous in the file.
  std::list<std::string> assembled;
};

// Selects the records to return: all records in the ring, or those at and after
// the cursor, which are not persisted. Crash reports are always returned,
// because only recovery persists them.
enum class RecoverFrom : uint8_t { kEverything, kCursor };

// Recovers the ring file `file`. The result refers to these bytes, which must
// outlive it. Gaps are those at and after the cursor; DropGaps() (gap.h) adds
// the drops. A truncated file is not an error: missing slots become gaps.
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
