// Recovery: the bytes of a ring whose process is dead -> its records and gaps.
//
// A pure function. It maps nothing, writes nothing, trusts nothing: every
// offset, length, count and state is checked before it is used, and a record is
// returned only if its checksum fits. What it does not do: ask whether the
// process is really dead (compress/leftover.h does), or know what has been
// persisted elsewhere beyond what the cursor says.

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
  uint64_t position = 0;    // of its first slot
  uint32_t slot_count = 0;  // positions that it takes
  absl::string_view head;   // into the file's bytes, or `assembled`
  absl::string_view body;   // into the file's bytes, or `assembled`
  // Not of a slot: what a signal handler wrote into the crash area. These come
  // last, at positions behind all others, from RecoveredRing::end_position on.
  bool is_crash_report = false;
};

struct SlotCounts {
  uint64_t never_used = 0;
  uint64_t free = 0;
  uint64_t filling = 0;
  uint64_t filled = 0;
  uint64_t persisting = 0;
  uint64_t skipped = 0;
  uint64_t damaged = 0;  // bad checksum or implausible
  uint64_t absent = 0;   // behind the end of a file that was cut
};

struct RecoveredRing {
  RingHeader header = {};
  RingLive live = {};         // as found: untrusted; what was dropped is in it
  bool has_live = false;      // false: the file ends before the end of `live`
  PersistCursor cursor = {};  // the one that counts
  SlotCounts slots;
  std::vector<RecoveredRecord> records;  // by position
  std::vector<Gap> gaps;                 // by position
  uint64_t end_position = 0;  // nothing that can be believed says that
                              // positions were used from here on
  std::list<std::string> assembled;
};

// What to return: all that is in the ring, or only what the cursor does not
// say is persisted. Crash reports are never persisted before recovery.
enum class RecoverFrom : uint8_t { kEverything, kCursor };

// What `file` holds. The result refers to the bytes of `file`, which must
// outlive it. Gaps are those of the positions from the cursor on; of drops see
// DropGaps() (gap.h). A file that ends before its last slot is no error: what
// is missing becomes gaps. Errors are those of ParseRingHeader().
absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from);

// The same by a header that the file has lost. Requires: RebuildRingHeader()
// (ring_header_scan.h) made it of this file; or it is the file's own.
RecoveredRing RecoverRing(absl::string_view file, const RingHeader& header,
                          RecoverFrom from);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECOVERY_H_
