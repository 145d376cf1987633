#include "ringlog/compress/recovery/ring_items.h"

#include <algorithm>
#include <cstring>

#include "absl/status/statusor.h"
#include "ringlog/ring/drop_counts.h"
#include "ringlog/ring/record.h"

namespace ringlog {
namespace {

constexpr size_t kBatchBytes = 64 << 10;
// Maximum number of gaps that wait for the time of the record after them.
constexpr size_t kMaxHeldGaps = 1000;

class RingItems {
 public:
  RingItems(RingRecovery* ring, const ResumePoint& point, LineFormat format,
            absl::FunctionRef<absl::Status(BatchBuilder*)> write,
            LeftoverReport* report)
      : ring_(ring),
        point_(point),
        write_(write),
        report_(report),
        batch_(format, point.first_position),
        time_ns_(ring->summary().header.created_unix_ns) {}

  absl::Status AddAll() {
    bool drops_are_added = false;
    while (true) {
      const absl::StatusOr<RingRecovery::Item> item = ring_->Next();
      if (!item.ok()) return item.status();
      absl::Status status;
      if (*item == RingRecovery::Item::kGap) {
        status = HoldGap(ring_->gap());
      } else if (*item == RingRecovery::Item::kRecord &&
                 !ring_->record().is_crash_report) {
        status = AddRecord(ring_->record());
      } else {
        if (!drops_are_added) status = AddDrops();
        drops_are_added = true;
        if (!status.ok()) return status;
        if (*item == RingRecovery::Item::kEnd) return write_(&batch_);
        status = AddRecord(ring_->record());
      }
      if (!status.ok()) return status;
    }
  }

 private:
  // Adds a record, after the gaps before it. Ignores records that are persisted
  // already.
  absl::Status AddRecord(const RecoveredRecord& record) {
    if (record.position < point_.first_position) return absl::OkStatus();
    Record decoded;
    if (!record.is_crash_report &&
        DecodeRecord(record.head, record.body, &decoded)) {
      time_ns_ = decoded.time_ns;
    }
    if (absl::Status s = AddHeldGaps(); !s.ok()) return s;
    batch_.AddRecord(record.position, record.slot_count, record.head,
                     record.body);
    ++report_->records;
    return WriteIfLarge();
  }

  // Keeps a gap until the next record, whose time the gap gets.
  absl::Status HoldGap(Gap gap) {
    const uint64_t begin = point_.first_position;
    if (gap.end_position <= begin) return absl::OkStatus();
    gap.first_position = std::max(gap.first_position, begin);
    held_gaps_.push_back(gap);
    return held_gaps_.size() < kMaxHeldGaps ? absl::OkStatus() : AddHeldGaps();
  }

  absl::Status AddHeldGaps() {
    for (const Gap& gap : held_gaps_) {
      AddGap(gap);
      if (absl::Status s = WriteIfLarge(); !s.ok()) return s;
    }
    held_gaps_.clear();
    return absl::OkStatus();
  }

  absl::Status AddDrops() {
    if (absl::Status s = AddHeldGaps(); !s.ok()) return s;
    const RingSummary& summary = ring_->summary();
    DropCounts drops;
    std::memcpy(&drops, &summary.live.dropped, sizeof drops);
    const uint64_t end = std::max(point_.first_position, summary.end_position);
    for (const Gap& gap : DropGaps(drops, point_.reported_drops, end)) {
      AddGap(gap);
    }
    return absl::OkStatus();
  }

  void AddGap(const Gap& gap) {
    batch_.AddGap(gap, time_ns_);
    ++report_->gap_count;
    if (IsLoss(gap.cause)) ++report_->losses;
    if (report_->gaps.size() < LeftoverReport::kMaxListedGaps) {
      report_->gaps.push_back(gap);
    }
  }

  absl::Status WriteIfLarge() {
    return batch_.text_bytes() >= kBatchBytes ? write_(&batch_)
                                              : absl::OkStatus();
  }

  RingRecovery* const ring_;
  const ResumePoint& point_;
  const absl::FunctionRef<absl::Status(BatchBuilder*)> write_;
  LeftoverReport* const report_;
  BatchBuilder batch_;
  // Unix time of the last record; the gaps after it get it, too.
  int64_t time_ns_;
  std::vector<Gap> held_gaps_;
};

}  // namespace

absl::Status AddRingItems(RingRecovery* ring, const ResumePoint& point,
                          LineFormat format,
                          absl::FunctionRef<absl::Status(BatchBuilder*)> write,
                          LeftoverReport* report) {
  return RingItems(ring, point, format, write, report).AddAll();
}

}  // namespace ringlog
