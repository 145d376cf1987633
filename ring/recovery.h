// Recovery: the bytes of a ring whose process is dead -> its records and gaps.
//
// A pure function. It maps nothing, writes nothing, trusts nothing: every
// offset, length, count and state is checked before it is used, and a record is
// returned only if its checksum fits. What it does not do: ask whether the
// process is really dead (compress/leftover.h does), or know what has been
// persisted elsewhere beyond what the cursor says.

#ifndef RINGLOG_RING_RECOVERY_H_
#define RINGLOG_RING_RECOVERY_H_

#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// What a slot of a dead ring turns out to be.
enum class SlotClass : uint8_t {
  kNeverUsed,    // all of its word is zero
  kFree,         // released; whatever is in it has been persisted
  kUnfinished,   // kFilling: the writer had not committed
  kRecord,       // a part of a record, and the checksum fits
  kAbandoned,    // a claim that was given back
  kSkipped,      // passed by the flusher
  kBadChecksum,  // says that it holds a record, but the bytes are others
  kImplausible,  // no state, position or length that this ring can have had
};

struct SlotGeometry {
  uint64_t slot_count = 0;
  uint32_t slot_bytes = 0;
  uint32_t head_bytes = 0;
  uint32_t body_bytes = 0;
};

struct ClassifiedSlot {
  SlotClass slot_class = SlotClass::kNeverUsed;
  SlotHeader header = {};  // meaningful unless kNeverUsed
  uint64_t position = 0;   // of the word
  absl::string_view head;  // kRecord only
  absl::string_view body;  // kRecord only
};

// The one place that decides what a dead slot means. `slot` is slot_bytes long,
// `index` its place in the ring, `seed` what ChecksumSeed(ring_id) gave.
ClassifiedSlot ClassifySlot(absl::string_view slot, uint64_t index,
                            const SlotGeometry& geometry, uint32_t seed);

// The header of `file`, a ring file from its first byte on. At least min(file
// size, 4096) bytes are needed.
//   InvalidArgument: not a ring file
//   DataLoss:        a ring file whose header is damaged or cut
//   Unimplemented:   of a version, byte order or with a feature that this code
//   does not know
absl::StatusOr<RingHeader> ParseRingHeader(absl::string_view file);

// The valid persist cursor with the highest sequence; one with sequence 0 if
// none was published. `live` is the file's bytes from live_offset on.
PersistCursor ParsePersistCursor(absl::string_view live,
                                 const RingHeader& header);

struct RecoveredRecord {
  uint64_t position = 0;    // of its first slot
  uint32_t slot_count = 0;  // positions it takes
  absl::string_view
      head;  // into the file's bytes, as `body` of a record of one slot
  absl::string_view
      body;  // into RecoveredRing::assembled, for a record of more
};

struct SlotCounts {
  uint64_t free = 0, filling = 0, filled = 0, persisting = 0, skipped = 0,
           damaged = 0;
};

struct RecoveredRing {
  RingHeader header = {};
  RingLive live = {};         // as found; untrusted but for `cursor`
  PersistCursor cursor = {};  // the valid one
  SlotCounts slots;
  std::vector<RecoveredRecord> records;  // by position
  std::vector<Gap> gaps;      // by position; with those of dropped records last
  uint64_t end_position = 0;  // no record had this position or a higher one
  std::list<std::string> assembled;
};

// Which records: all that the ring still holds, or only those at or after the
// persist cursor.
enum class RecoverFrom : uint8_t { kEverything, kCursor };

// Everything that `file` still holds. The result refers to the bytes of `file`,
// which must outlive it. Errors are those of ParseRingHeader. A file that ends
// before its last slot is not an error: what is missing becomes gaps.
absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECOVERY_H_
