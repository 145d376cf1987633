// Recovery: the bytes of a ring whose process is dead -> its records and gaps.
//
// A pure function. It maps nothing, writes nothing, trusts nothing: every
// offset, length, count and state is checked before it is used, and a record is
// returned only if its checksum fits. What it does not do: ask whether the
// process is really dead (compress/leftover.h does), or know what has been
// persisted elsewhere beyond what the cursor says.

#ifndef RINGLOG_RING_RECOVERY_H_
#define RINGLOG_RING_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

struct SlotGeometry {
  uint64_t slot_count = 0;
  uint32_t slot_bytes = 0;
  uint32_t head_bytes = 0;
};
SlotGeometry GeometryOf(const RingHeader& header);

// What a slot turns out to be. ring/FORMAT.md has the table.
enum class SlotClass : uint8_t {
  kNeverUsed,    // its word is zero
  kFree,         // released: what it held has been persisted, or given up
  kUnfinished,   // kFilling: the writer has not committed
  kPart,         // committed: a record, or a part of one; the checksum fits
  kAbandoned,    // committed, and nothing in it; the checksum fits
  kSkipped,      // passed by the flusher
  kBadChecksum,  // committed, but the bytes are not those that were
  kImplausible,  // a state or position that this slot cannot have had
};

struct ClassifiedSlot {
  SlotClass slot_class = SlotClass::kNeverUsed;
  uint64_t position = 0;      // the word's; not of kNeverUsed and kImplausible
  SlotHeader header = {};     // of kPart and kAbandoned
  absl::string_view payload;  // of kPart: head_bytes of head, then the body
};

// The one place that decides what a slot means; used by the flusher, recovery
// and the tool. `slot` is the slot_bytes of slot number `index`; `seed` is
// ChecksumSeed().
ClassifiedSlot ClassifySlot(absl::string_view slot, uint64_t index,
                            const SlotGeometry& geometry, absl::crc32c_t seed);

struct AssembledRecord {
  enum Outcome : uint8_t {
    kRecord,
    kNothing,  // an abandoned claim, or a part whose record's beginning is lost
    kGap,      // a record whose bytes cannot be believed
  };
  Outcome outcome = kNothing;
  uint32_t slot_count = 1;              // positions that this is about
  GapCause cause = GapCause::kMissing;  // of a gap
  absl::string_view head;               // into the slot
  absl::string_view body;               // into the slot, or `buffer`
};

// Puts together the record that begins in the committed slot of `position`.
// `slot_at` gives the bytes of a position's slot. `buffer` is used for the body
// of a record of several slots, and only then.
AssembledRecord AssembleRecord(
    uint64_t position, const SlotGeometry& geometry, absl::crc32c_t seed,
    absl::FunctionRef<absl::string_view(uint64_t position)> slot_at,
    std::string* buffer);

// The header of a ring file, of which at least min(its size, 4096) bytes are
// given.
//   InvalidArgument  not a ring file
//   DataLoss         a ring file whose header is damaged or cut off
//   Unimplemented    of a version, byte order or with a feature that this code
//                    does not know
absl::StatusOr<RingHeader> ParseRingHeader(absl::string_view file);

// The persist cursor that counts; one with sequence 0 if none was published, or
// none survived. `live` is the file from live_offset on.
PersistCursor ParsePersistCursor(absl::string_view live,
                                 const RingHeader& header);

uint32_t RingHeaderChecksum(const RingHeader& header);
uint32_t PersistCursorChecksum(absl::crc32c_t seed,
                               const PersistCursor& cursor);

struct RecoveredRecord {
  uint64_t position = 0;    // of its first slot
  uint32_t slot_count = 0;  // positions that it takes
  absl::string_view head;   // into the file's bytes
  absl::string_view body;   // into the file's bytes, or `assembled`
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
  RingLive live = {};         // as found: untrusted
  PersistCursor cursor = {};  // the one that counts
  SlotCounts slots;
  std::vector<RecoveredRecord> records;  // by position
  std::vector<Gap> gaps;                 // by position
  uint64_t end_position = 0;  // no position from here on was ever claimed
  std::list<std::string> assembled;
};

// What to return: all that is in the ring, or only what the cursor does not
// say is persisted.
enum class RecoverFrom : uint8_t { kEverything, kCursor };

// What `file` holds. The result refers to the bytes of `file`, which must
// outlive it. Gaps are those of the positions from the cursor on; of drops
// there is one for each cause that the counters name. A file that ends before
// its last slot is no error: what is missing becomes gaps. Errors are those of
// ParseRingHeader().
absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECOVERY_H_
