#include "ringlog/ring/recovery.h"

#include <memory>

#include "ringlog/ring/memory_source.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

void AddRecord(RecoveredRecord record, RecoveredRing* ring) {
  // Views of the file stay valid, others do not.
  if (record.slot_count > 1 || record.is_crash_report) {
    record.head = ring->assembled.emplace_back(record.head);
    record.body = ring->assembled.emplace_back(record.body);
  }
  ring->records.push_back(record);
}

}  // namespace

absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from) {
  absl::StatusOr<RingHeader> header = ParseRingHeader(file);
  if (!header.ok()) return header.status();
  return RecoverRing(file, *header, from);
}

RecoveredRing RecoverRing(absl::string_view file, const RingHeader& header,
                          RecoverFrom from) {
  MemorySource source(file);
  // No error: reading memory does not fail.
  const std::unique_ptr<RingRecovery> recovery =
      *RingRecovery::Start(&source, header, from);
  RecoveredRing ring;
  static_cast<RingSummary&>(ring) = recovery->summary();
  while (true) {
    switch (*recovery->Next()) {
      case RingRecovery::Item::kRecord:
        AddRecord(recovery->record(), &ring);
        break;
      case RingRecovery::Item::kGap:
        ring.gaps.push_back(recovery->gap());
        break;
      case RingRecovery::Item::kEnd:
        return ring;
    }
  }
}

}  // namespace ringlog
