// RingRecovery
//
// Reads the ring of a dead process as records and gaps, in order of position.
// Only reads: leftover_recovery.h moves them into segments and deletes the
// ring. ring/FORMAT.md, "Reading a ring", has the algorithm.
//
//   absl::StatusOr<std::unique_ptr<RingRecovery>> ring =
//       RingRecovery::Start(&source, header, RecoverFrom::kCursor);
//   ...
//   while (true) {
//     const absl::StatusOr<RingRecovery::Item> item = (*ring)->Next();
//     if (!item.ok()) return item.status();
//     if (*item == RingRecovery::Item::kEnd) break;
//     ...
//   }
//
// The bytes are untrusted. Recovery checks every offset, length, count and
// state before use, and returns a record only if its checksums match. It does
// not check that the process is dead (compress/recovery/leftover_file.h does),
// and uses the persist cursor alone to decide what is persisted.
//
// Costs, whatever the file has or claims:
// - memory: 4 MiB in addition to the source
// - reading: all slots that are not in holes of the file, at most three times:
//   twice in Start(), and once until the end of the items or a Restart()

#ifndef RINGLOG_RING_RING_RECOVERY_H_
#define RINGLOG_RING_RING_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_source.h"
#include "ringlog/ring/slot_reader.h"
#include "ringlog/ring/slot_window.h"

namespace ringlog {

struct RecoveredRecord {
  // Position of the first slot.
  uint64_t position = 0;
  // Number of positions.
  uint32_t slot_count = 0;
  absl::string_view head;
  // If the record takes several slots, at most kMaxRecoveredBodyBytes bytes of
  // its body. The head has the number of bytes that were logged, so
  // DecodeRecord() (record.h) reports the rest as truncated.
  absl::string_view body;
  // True if the record is a report of a signal handler from the crash area
  // instead of slots. Crash reports come last, at positions from
  // RingSummary::end_position on.
  bool is_crash_report = false;
};

// No record of LOG() is longer: Abseil truncates them to 15,000 bytes.
inline constexpr size_t kMaxRecoveredBodyBytes = kMaxBodyBytes;

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

// The facts about a ring, without its records and gaps.
struct RingSummary {
  RingHeader header = {};
  // As found in the file, not validated. Has the drop counters.
  RingLive live = {};
  // True if the file has all bytes of `live`. Missing bytes are zeros.
  bool has_live = false;
  // The persist cursor that counts: ParsePersistCursor() (ring_header.h).
  PersistCursor cursor = {};
  SlotCounts slots;
  // End of the positions that were in use. Intact content and the cursor prove
  // positions. A word or the tail counts only if other evidence agrees
  // (ring/FORMAT.md, "Which positions are in use").
  uint64_t end_position = 0;
};

// Selects the records to return: all records in the ring, or those at and after
// the cursor, which are not persisted. Crash reports are always returned,
// because only recovery persists them. Gaps are always those at and after the
// cursor.
enum class RecoverFrom : uint8_t { kEverything, kCursor };

// Thread-compatible.
class RingRecovery {
 public:
  enum class Item : uint8_t { kRecord, kGap, kEnd };

  // Reads the live area and all slots, and begins before the first item.
  // `source` must outlive the recovery. A truncated file is not an error:
  // missing slots become gaps. DropGaps() (gap.h) adds the gaps of drops.
  // Errors are those of `source`. One of them is a file that becomes shorter
  // while it is read.
  // Requires: ParseRingHeader() or RebuildRingHeader() (ring_header_scan.h) has
  // returned `header` for the file.
  static absl::StatusOr<std::unique_ptr<RingRecovery>> Start(
      RingSource* source, const RingHeader& header, RecoverFrom from);

  RingRecovery(const RingRecovery&) = delete;
  RingRecovery& operator=(const RingRecovery&) = delete;

  const RingSummary& summary() const { return summary_; }

  // Goes to the next item. Errors are those of the source. An error of reading
  // a slot is final: all later calls return it, also after Restart(). After an
  // error of reading the crash area, the next call reads the area again.
  absl::StatusOr<Item> Next();
  // The record, if Next() has returned kRecord. Its views are valid until the
  // next call of Next() or Restart(). Head and body of a record of one slot are
  // views that the source has returned: do not read from the source between
  // Next() and the use of the record.
  const RecoveredRecord& record() const { return record_; }
  // The gap, if Next() has returned kGap.
  const Gap& gap() const { return gap_; }

  // Begins again before the first item.
  void Restart(RecoverFrom from);

 private:
  RingRecovery(RingSource* source, const RingHeader& header);

  absl::Status ReadLive();
  absl::Status ScanSlots();
  uint64_t CountSlot(uint64_t index);
  uint64_t EndOf(uint64_t proven_end);
  uint64_t LastBelowTail(uint64_t begin, uint64_t end) const;
  bool IsCandidate(uint64_t position);

  uint64_t IndexOf(uint64_t position) const {
    return position & (geometry_.slot_count - 1);
  }
  absl::string_view SlotAt(uint64_t position) {
    return slots_.At(IndexOf(position));
  }
  ClassifiedSlot Classify(uint64_t position) {
    return ClassifySlot(SlotAt(position), IndexOf(position), geometry_, seed_);
  }
  bool Awaits(const ClassifiedSlot& slot, uint64_t position) const;
  bool HoldsContentOf(uint64_t position);
  bool WasNotReleased(uint64_t position);

  void VisitNext();
  void Visit(uint64_t position);
  void VisitUnused(uint64_t count);
  void Assemble(const ClassifiedSlot& first);
  void AddGap(uint64_t position, uint64_t count, GapCause cause);
  void AddGapInRange(uint64_t position, uint64_t count, GapCause cause);
  void EndGap();
  absl::Status ReadCrashReports();
  void TakeCrashReport();

  RingSource* const source_;
  const SlotGeometry geometry_;
  const absl::crc32c_t seed_;
  SlotWindow slots_;
  RingSummary summary_;
  // All positions below are persisted or were never used.
  uint64_t cursor_ = 0;
  // True if the cursor is the one that was published last.
  bool cursor_is_latest_ = false;
  // Lowest position of an intact slot.
  uint64_t lowest_intact_ = std::numeric_limits<uint64_t>::max();
  uint64_t first_gap_position_ = 0;

  // The next position to visit.
  uint64_t position_ = 0;
  // The last gap, to which the next position may still add.
  std::optional<Gap> open_gap_;
  // The crash reports, as soon as all positions are visited.
  std::optional<std::vector<CrashReport>> crash_reports_;
  size_t next_crash_report_ = 0;

  // The items that Next() returns next, the gap first.
  bool gap_is_ready_ = false;
  bool record_is_ready_ = false;
  Gap gap_;
  RecoveredRecord record_;
  // Head and body of a record that is not contiguous in the file.
  std::string assembled_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_RECOVERY_H_
