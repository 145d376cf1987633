// Invariants checked:
//   - All areas of an accepted or rebuilt header are inside the file.
//   - Recovery fails if and only if the header is rejected.
//   - Records and gaps are in order of position and do not overlap. All are
//     within one lap of the ring.
//   - The strings of a record point into the file or into `assembled`.
//   - Crash reports come last, after the end position, and can be decoded.
//   - No gap covers positions below the cursor.
//   - The same bytes at another address give the same result.

#include "ringlog/testing/fuzz/fuzz_ring.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_header_scan.h"

namespace ringlog {
namespace {

// Checks the properties of the geometry that recovery relies on.
void CheckGeometry(const RingHeader& h) {
  CHECK_EQ(h.slot_count & (h.slot_count - 1), 0u);
  CHECK_GE(h.slot_count, 2u);
  CHECK_GE(h.slot_bytes, 32 + uint64_t{h.head_bytes} + h.body_bytes);
  CHECK_GE(h.live_offset, 4096u);
  CHECK_LE(h.live_offset, h.file_bytes);
  CHECK_LE(h.live_offset + sizeof(RingLive), h.slots_offset);
  CHECK_LE(h.slots_offset, h.file_bytes);
  CHECK_EQ((h.file_bytes - h.slots_offset) / h.slot_bytes, h.slot_count);
  CHECK_LE(SegmentDirectory(h).size(), sizeof h.segment_directory);
}

bool IsWithin(absl::string_view part, absl::string_view whole) {
  return part.empty() || (!std::less<>()(part.data(), whole.data()) &&
                          !std::less<>()(whole.data() + whole.size(),
                                         part.data() + part.size()));
}

bool IsAssembled(const RecoveredRing& ring, absl::string_view part) {
  return std::any_of(
      ring.assembled.begin(), ring.assembled.end(),
      [&](const std::string& whole) { return IsWithin(part, whole); });
}

void CheckRecord(const RecoveredRing& ring, const RecoveredRecord& found,
                 absl::string_view file) {
  CHECK_GE(found.slot_count, 1u);
  CHECK(IsWithin(found.body, file) || IsAssembled(ring, found.body));
  Record record;
  if (found.is_crash_report) {
    CHECK(IsAssembled(ring, found.head));
    CHECK(DecodeRecord(found.head, found.body, &record));
    CHECK(record.severity == Severity::kFatal);
  } else {
    CHECK(IsWithin(found.head, file) || IsAssembled(ring, found.head));
    CHECK_LE(found.head.size(), ring.header.head_bytes);
  }
  if (!DecodeRecord(found.head, found.body, &record)) return;
  CHECK(IsWithin(record.file, found.head));
  CHECK(IsWithin(record.text, found.body));
}

void CheckGap(const RecoveredRing& ring, const Gap& gap) {
  CHECK_LT(gap.first_position, gap.end_position);
  CHECK_GE(gap.first_position, ring.header.first_position);
  CHECK_GE(gap.first_position, ring.cursor.end_position);
  CHECK_LT(gap.first_position, ring.end_position);
  CHECK(!Describe(gap).empty());
}

// Walks over records and gaps together, in order of position.
void CheckOrder(const RecoveredRing& ring) {
  auto record = ring.records.begin();
  auto gap = ring.gaps.begin();
  uint64_t first = ring.end_position;
  uint64_t end = 0;
  while (record != ring.records.end() || gap != ring.gaps.end()) {
    const bool is_record =
        gap == ring.gaps.end() || (record != ring.records.end() &&
                                   record->position < gap->first_position);
    const uint64_t begin = is_record ? record->position : gap->first_position;
    first = std::min(first, begin);
    CHECK_GE(begin, end);
    end = is_record ? begin + record->slot_count : gap->end_position;
    if (is_record) {
      CHECK(record->is_crash_report ? begin >= ring.end_position
                                    : end <= ring.end_position);
      ++record;
    } else {
      ++gap;
    }
  }
  CHECK_LE(ring.end_position - first, ring.header.slot_count);
}

std::string Summary(const RecoveredRing& ring) {
  std::string out;
  for (const RecoveredRecord& r : ring.records) {
    absl::StrAppend(&out, r.position, "+", r.slot_count, " ", r.head, " ",
                    r.body, "\n");
  }
  for (const Gap& g : ring.gaps) absl::StrAppend(&out, Describe(g), "\n");
  const SlotCounts& n = ring.slots;
  return absl::StrCat(out, ring.end_position, " ", n.never_used + n.free, " ",
                      n.filling + n.filled + n.persisting, " ",
                      n.skipped + n.damaged, " ", n.absent);
}

void CheckRecovery(absl::string_view file, absl::string_view copy,
                   const RingHeader& header, RecoverFrom from) {
  const RecoveredRing ring = RecoverRing(file, header, from);
  const SlotCounts& n = ring.slots;
  CHECK_EQ(n.never_used + n.free + n.filling + n.filled + n.persisting +
               n.skipped + n.damaged + n.absent,
           header.slot_count);
  for (const RecoveredRecord& record : ring.records) {
    CheckRecord(ring, record, file);
  }
  for (const Gap& gap : ring.gaps) CheckGap(ring, gap);
  CHECK_LE(ring.end_position, kMaxPosition + 1);
  CheckOrder(ring);
  CHECK_EQ(Summary(ring), Summary(RecoverRing(copy, header, from)));
}

void CheckBoth(absl::string_view file, absl::string_view copy,
               const RingHeader& header) {
  CheckGeometry(header);
  CheckRecovery(file, copy, header, RecoverFrom::kEverything);
  CheckRecovery(file, copy, header, RecoverFrom::kCursor);
}

}  // namespace

int FuzzRing(const uint8_t* data, size_t size) {
  const absl::string_view file(reinterpret_cast<const char*>(data), size);
  // Not aligned, and without readable bytes after its end.
  const std::string shifted = absl::StrCat("#", file);
  const absl::string_view copy = absl::string_view(shifted).substr(1);
  // All functions that read the bytes of a ring are called below.
  const absl::StatusOr<RingHeader> header = ParseRingHeader(file);
  CHECK_EQ(RecoverRing(file, RecoverFrom::kCursor).status(), header.status());
  if (header.ok()) {
    CHECK_EQ(std::memcmp(header->magic, kRingMagic, sizeof header->magic), 0);
    CHECK_EQ(header->incompatible_flags, 0u);
    CheckBoth(file, copy, *header);
  }
  const absl::StatusOr<RingHeader> rebuilt = RebuildRingHeader(file);
  if (rebuilt.ok()) CheckBoth(file, copy, *rebuilt);
  return 0;
}

}  // namespace ringlog
