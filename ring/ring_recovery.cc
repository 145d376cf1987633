#include "ringlog/ring/ring_recovery.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

// Returns the head of the record that a report becomes: severity FATAL, from
// "signal:11". Removes one line break at the end of the text.
std::string HeadOf(CrashReport& report) {
  constexpr absl::string_view kFile = "signal";
  if (!report.text.empty() && report.text.back() == '\n') {
    report.text.pop_back();
  }
  Record record;
  record.time_ns = report.time_ns;
  record.thread_id = report.thread_id;
  record.line = report.signal;
  record.severity = Severity::kFatal;
  record.file = kFile;
  record.text = report.text;
  record.cut_bytes = static_cast<uint32_t>(std::min<uint64_t>(
      report.lost_bytes, std::numeric_limits<uint32_t>::max()));
  char head[kRecordHeadFixedBytes + kFile.size()];
  return std::string(head, EncodeRecordHead(record, absl::MakeSpan(head)));
}

}  // namespace

void RingRecovery::Restart(RecoverFrom from) {
  const uint64_t end = summary_.end_position;
  position_ = from == RecoverFrom::kCursor ? cursor_
                                           : std::min(cursor_, lowest_intact_);
  if (end > geometry_.slot_count) {
    position_ = std::max(position_, end - geometry_.slot_count);
  }
  first_gap_position_ = cursor_;
  // `released` counts only as far as the slots agree.
  const uint64_t released = summary_.live.released;
  if (!cursor_is_latest_ && released <= lowest_intact_) {
    first_gap_position_ = std::max(first_gap_position_, released);
  }
  slots_.Forget();
  open_gap_.reset();
  crash_reports_.reset();
  next_crash_report_ = 0;
  gap_is_ready_ = record_is_ready_ = false;
}

absl::StatusOr<RingRecovery::Item> RingRecovery::Next() {
  while (true) {
    if (!slots_.status().ok()) return slots_.status();
    if (gap_is_ready_) {
      gap_is_ready_ = false;
      return Item::kGap;
    }
    if (record_is_ready_) {
      record_is_ready_ = false;
      return Item::kRecord;
    }
    if (position_ < summary_.end_position) {
      VisitNext();
    } else if (open_gap_) {
      EndGap();
    } else if (!crash_reports_) {
      if (absl::Status s = ReadCrashReports(); !s.ok()) return s;
    } else if (next_crash_report_ < crash_reports_->size()) {
      TakeCrashReport();
    } else {
      return Item::kEnd;
    }
  }
}

// Visits the next position, or all next positions whose slots are absent or in
// a hole of the file: a header can claim millions of them.
void RingRecovery::VisitNext() {
  const uint64_t index = IndexOf(position_);
  const uint64_t left = summary_.end_position - position_;
  if (index >= slots_.present()) {
    const uint64_t absent = std::min(geometry_.slot_count - index, left);
    AddGapInRange(position_, absent, GapCause::kMissing);
    position_ += absent;
  } else if (const uint64_t unused = slots_.UnusedFrom(index); unused != 0) {
    VisitUnused(std::min(unused, left));
  } else {
    Visit(position_);
  }
}

// Visits positions whose slots were never used.
void RingRecovery::VisitUnused(uint64_t count) {
  const uint64_t first_lap_end =
      summary_.header.first_position + geometry_.slot_count;
  const bool is_first_lap = position_ < first_lap_end;
  if (is_first_lap) count = std::min(count, first_lap_end - position_);
  AddGapInRange(position_, count,
                is_first_lap ? GapCause::kUnfinished : GapCause::kMissing);
  position_ += count;
}

// Recovers what position `p` has.
void RingRecovery::Visit(uint64_t p) {
  const ClassifiedSlot slot = Classify(p);
  const bool names_p = slot.position == p;
  if (slot.slot_class == SlotClass::kPart && names_p) {
    Assemble(slot);
    return;
  }
  ++position_;
  switch (slot.slot_class) {
    case SlotClass::kAbandoned:
      if (!names_p) AddGap(p, 1, GapCause::kMissing);
      break;
    case SlotClass::kMismatched:
      AddGap(p, 1, names_p ? GapCause::kChecksumMismatch : GapCause::kMissing);
      break;
    case SlotClass::kPart:
    case SlotClass::kImplausible:
      AddGap(p, 1, GapCause::kMissing);
      break;
    case SlotClass::kFree:
      if (names_p) {
        if (WasNotReleased(p)) AddGap(p, 1, GapCause::kMissing);
        break;
      }
      [[fallthrough]];
    case SlotClass::kNeverUsed:
    case SlotClass::kFilling:
    case SlotClass::kSkipped:
      AddGap(p, 1,
             names_p || (Awaits(slot, p) && !HoldsContentOf(p))
                 ? GapCause::kUnfinished
                 : GapCause::kMissing);
      break;
  }
}

// Returns true if the slot has a word that a claim of position `p` can find
// there.
bool RingRecovery::Awaits(const ClassifiedSlot& slot, uint64_t p) const {
  const uint64_t count = geometry_.slot_count;
  if (slot.slot_class == SlotClass::kNeverUsed) {
    return p < summary_.header.first_position + count;
  }
  return (slot.slot_class == SlotClass::kFree ||
          slot.slot_class == SlotClass::kSkipped) &&
         slot.position + count == p;
}

// Content is written only after the slot's word names its position. If the word
// names another position, the word is damaged.
bool RingRecovery::HoldsContentOf(uint64_t p) {
  return ContentPosition(SlotAt(p), geometry_, seed_) == p;
}

// A slot is freed in two ways: in order, after the cursor has passed it; or by
// its skipped writer, which erases the content first. Other content in a free
// slot means that the word is damaged.
bool RingRecovery::WasNotReleased(uint64_t p) {
  return p >= summary_.live.released &&
         (cursor_is_latest_ || p > lowest_intact_) && HoldsContentOf(p);
}

// Recovers the record of which `first` is the first slot, or a part.
void RingRecovery::Assemble(const ClassifiedSlot& first) {
  const uint64_t p = position_;
  const AssembledRecord record = AssembleRecord(
      first, p, geometry_, seed_, [this](uint64_t q) { return SlotAt(q); },
      kMaxRecoveredBodyBytes, &assembled_);
  position_ += record.slot_count;
  if (record.outcome == AssembledRecord::kGap) {
    AddGap(p, record.slot_count, record.cause);
  } else if (record.outcome == AssembledRecord::kRecord) {
    record_ = RecoveredRecord();
    record_.position = p;
    record_.slot_count = record.slot_count;
    record_.head = record.head;
    record_.body = record.body;
    record_is_ready_ = true;
    EndGap();
  } else if (open_gap_ && open_gap_->end_position == p) {
    // The part belongs to the record that the gap is about. One record is one
    // gap.
    ++open_gap_->end_position;
  }
}

void RingRecovery::AddGap(uint64_t position, uint64_t count, GapCause cause) {
  if (position < first_gap_position_) return;
  if (open_gap_ && open_gap_->cause == cause &&
      open_gap_->end_position == position) {
    open_gap_->end_position += count;
    return;
  }
  EndGap();
  open_gap_.emplace();
  open_gap_->cause = cause;
  open_gap_->first_position = position;
  open_gap_->end_position = position + count;
}

// Adds a gap for each of `count` positions.
void RingRecovery::AddGapInRange(uint64_t position, uint64_t count,
                                 GapCause cause) {
  const uint64_t end = position + count;
  position = std::max(position, std::min(first_gap_position_, end));
  if (position < end) AddGap(position, end - position, cause);
}

void RingRecovery::EndGap() {
  if (!open_gap_) return;
  gap_ = *open_gap_;
  gap_is_ready_ = true;
  open_gap_.reset();
}

// Crash reports come after all other records, because the process died after
// them.
absl::Status RingRecovery::ReadCrashReports() {
  const RingHeader& header = summary_.header;
  slots_.Forget();
  const absl::StatusOr<absl::string_view> area =
      source_->Read(header.crash_offset, header.crash_bytes);
  if (!area.ok()) return area.status();
  crash_reports_ = ReadCrashArea(area->substr(0, header.crash_bytes), seed_);
  // The last record may extend beyond the end.
  position_ = std::max(position_, summary_.end_position);
  return absl::OkStatus();
}

void RingRecovery::TakeCrashReport() {
  CrashReport& report = (*crash_reports_)[next_crash_report_++];
  record_ = RecoveredRecord();
  record_.position = position_++;
  record_.slot_count = 1;
  record_.is_crash_report = true;
  assembled_ = HeadOf(report);
  record_.head = assembled_;
  record_.body = report.text;
  record_is_ready_ = true;
}

}  // namespace ringlog
