#include "ringlog/ring/recovery.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/crc/crc32c.h"
#include "absl/types/span.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

// Copies a struct out of `bytes`. Missing bytes are zero.
template <typename T>
T CopyOut(absl::string_view bytes) {
  T value = {};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

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

// The state of one RecoverRing() call. The names follow ring/FORMAT.md,
// "Reading a ring".
class RingRecovery {
 public:
  RingRecovery(absl::string_view file, const RingHeader& header,
               RecoverFrom from)
      : file_(file),
        from_(from),
        geometry_(GeometryOf(header)),
        seed_(ChecksumSeed(header.ring_id)),
        slots_present_(SlotsIn(file, header)) {
    result_.header = header;
    const absl::string_view live =
        file.substr(std::min<uint64_t>(file.size(), header.live_offset));
    result_.live = CopyOut<RingLive>(live);
    result_.has_live = live.size() >= sizeof(RingLive);
    result_.cursor = ParsePersistCursor(live, header);
    cursor_is_latest_ = result_.cursor.sequence != 0 &&
                        !LatestCursorIsDamaged(result_.live, header);
  }

  RecoveredRing Run() {
    FindBounds();
    uint64_t p = begin_;
    while (p < end_) {
      const uint64_t absent = std::min(AbsentSlotsFrom(p), end_ - p);
      p += absent != 0 ? VisitAbsent(p, absent) : Visit(p);
    }
    result_.end_position = end_;
    // The last record may extend beyond end_.
    AddCrashReports(std::max(p, end_));
    return std::move(result_);
  }

 private:
  static uint64_t SlotsIn(absl::string_view file, const RingHeader& header) {
    const uint64_t bytes =
        file.size() - std::min<uint64_t>(file.size(), header.slots_offset);
    return std::min(header.slot_count, bytes / header.slot_bytes);
  }

  // Returns the number of slots, from the slot of `position` on, that the file
  // is too short for.
  uint64_t AbsentSlotsFrom(uint64_t position) const {
    const uint64_t index = position & (geometry_.slot_count - 1);
    return index < slots_present_ ? 0 : geometry_.slot_count - index;
  }

  // Returns an empty view if the file ends before the slot does.
  absl::string_view SlotAt(uint64_t position) const {
    const uint64_t offset =
        result_.header.slots_offset +
        (position & (geometry_.slot_count - 1)) * geometry_.slot_bytes;
    if (offset + geometry_.slot_bytes > file_.size()) return {};
    return file_.substr(offset, geometry_.slot_bytes);
  }
  ClassifiedSlot Classify(uint64_t position) const {
    const absl::string_view slot = SlotAt(position);
    if (slot.empty()) return {};
    return ClassifySlot(slot, position & (geometry_.slot_count - 1), geometry_,
                        seed_);
  }

  void Count(const ClassifiedSlot& slot, uint64_t word) {
    SlotCounts& n = result_.slots;
    switch (slot.slot_class) {
      case SlotClass::kNeverUsed:
        ++n.never_used;
        break;
      case SlotClass::kFree:
        ++n.free;
        break;
      case SlotClass::kFilling:
        ++n.filling;
        break;
      case SlotClass::kPart:
      case SlotClass::kAbandoned:
        ++(WordState(word) == SlotState::kFilled ? n.filled : n.persisting);
        break;
      case SlotClass::kSkipped:
        ++n.skipped;
        break;
      case SlotClass::kMismatched:
      case SlotClass::kImplausible:
        ++n.damaged;
        break;
    }
  }

  // Adds the positions that a slot suggests were in use, in addition to those
  // that its content proves. Words have no checksum; see EndOf().
  void AddCandidates(uint64_t index, const ClassifiedSlot& slot,
                     bool has_content) {
    const bool is_committed = slot.slot_class == SlotClass::kMismatched;
    const bool names_position = slot.slot_class == SlotClass::kFree ||
                                slot.slot_class == SlotClass::kFilling ||
                                slot.slot_class == SlotClass::kSkipped ||
                                is_committed;
    if (names_position && !(has_content && is_committed)) {
      candidates_.push_back(slot.position);
    }
    if (has_content || result_.live.tail == 0) return;
    // A slot without content was used by the last position below the tail that
    // falls on it.
    const uint64_t last = result_.live.tail - 1;
    const uint64_t back = (last - index) & (geometry_.slot_count - 1);
    if (back <= last && !(names_position && slot.position == last - back) &&
        !Awaits(slot, last - back)) {
      candidates_.push_back(last - back);
    }
  }

  // Returns true if the slot has a word that a claim of position `p` can find
  // there.
  bool Awaits(const ClassifiedSlot& slot, uint64_t p) const {
    const uint64_t count = geometry_.slot_count;
    if (slot.slot_class == SlotClass::kNeverUsed) {
      return p < result_.header.first_position + count;
    }
    return (slot.slot_class == SlotClass::kFree ||
            slot.slot_class == SlotClass::kSkipped) &&
           slot.position + count == p;
  }

  // Computes the range of positions to visit.
  void FindBounds() {
    cursor_ =
        std::max(result_.header.first_position, result_.cursor.end_position);
    uint64_t proven_end = cursor_;
    result_.slots.absent = geometry_.slot_count - slots_present_;
    for (uint64_t i = 0; i < slots_present_; ++i) {
      const ClassifiedSlot slot = Classify(i);
      Count(slot, CopyOut<uint64_t>(SlotAt(i)));
      if (slot.slot_class == SlotClass::kPart ||
          slot.slot_class == SlotClass::kAbandoned) {
        lowest_intact_ = std::min(lowest_intact_, slot.position);
        proven_end = std::max(proven_end, slot.position + 1);
        continue;
      }
      const auto content = ContentPosition(SlotAt(i), geometry_, seed_);
      // Content of another slot proves nothing about this one.
      const bool has_content =
          content && (*content & (geometry_.slot_count - 1)) == i;
      if (has_content) proven_end = std::max(proven_end, *content + 1);
      AddCandidates(i, slot, has_content);
    }
    SetBounds(EndOf(proven_end));
  }

  void SetBounds(uint64_t end) {
    end_ = end;
    begin_ = from_ == RecoverFrom::kCursor ? cursor_
                                           : std::min(cursor_, lowest_intact_);
    if (end_ > geometry_.slot_count) {
      begin_ = std::max(begin_, end_ - geometry_.slot_count);
    }
    first_gap_position_ = cursor_;
    // `released` counts only as far as the slots agree.
    const uint64_t released = result_.live.released;
    if (!cursor_is_latest_ && released <= std::min(lowest_intact_, end_)) {
      first_gap_position_ = std::max(first_gap_position_, released);
    }
  }

  // Adds the last position before `end` that falls on an absent slot, if it is
  // within one lap of the tail.
  void AddCandidateOfAbsent(uint64_t end) {
    if (result_.slots.absent == 0 || end == 0) return;
    uint64_t p = end - 1;
    const uint64_t index = p & (geometry_.slot_count - 1);
    if (index < slots_present_) {
      if (p <= index) return;
      p -= index + 1;
    }
    if (p + geometry_.slot_count >= result_.live.tail) candidates_.push_back(p);
  }

  // Returns the end of the positions in use. A damaged word can name any
  // position of its slot. A word one lap ahead would make a whole lap of
  // positions look used. A candidate therefore needs a second witness: the
  // tail, or all positions below it.
  uint64_t EndOf(uint64_t proven_end) {
    const uint64_t reach =
        std::min(lowest_intact_, proven_end) + geometry_.slot_count;
    AddCandidateOfAbsent(std::min(reach, result_.live.tail));
    std::sort(candidates_.begin(), candidates_.end());
    uint64_t end = proven_end;
    for (const uint64_t p : candidates_) {
      if (p < end || p >= reach) continue;
      if (p < result_.live.tail || p == end) end = p + 1;
    }
    return end;
  }

  void AddGap(uint64_t position, uint64_t count, GapCause cause) {
    if (position < first_gap_position_) return;
    if (!result_.gaps.empty() && result_.gaps.back().cause == cause &&
        result_.gaps.back().end_position == position) {
      result_.gaps.back().end_position += count;
      return;
    }
    Gap gap;
    gap.cause = cause;
    gap.first_position = position;
    gap.end_position = position + count;
    result_.gaps.push_back(gap);
  }

  // Recovers what position `p` has; returns the number of positions visited.
  uint64_t Visit(uint64_t p) {
    const ClassifiedSlot slot = Classify(p);
    const bool names_p = slot.position == p;
    switch (slot.slot_class) {
      case SlotClass::kPart:
        if (names_p) return Assemble(p);
        AddGap(p, 1, GapCause::kMissing);
        break;
      case SlotClass::kAbandoned:
        if (!names_p) AddGap(p, 1, GapCause::kMissing);
        break;
      case SlotClass::kMismatched:
        AddGap(p, 1,
               names_p ? GapCause::kChecksumMismatch : GapCause::kMissing);
        break;
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
    return 1;
  }

  // Adds one gap for `count` positions with absent slots, because a header can
  // claim millions of them.
  uint64_t VisitAbsent(uint64_t p, uint64_t count) {
    const uint64_t first =
        std::max(p, std::min(first_gap_position_, p + count));
    if (first < p + count) AddGap(first, p + count - first, GapCause::kMissing);
    return count;
  }

  // Content is written only after the slot's word names its position. If the
  // word names another position, the word is damaged.
  bool HoldsContentOf(uint64_t p) const {
    return ContentPosition(SlotAt(p), geometry_, seed_) == p;
  }

  // A slot is freed in two ways: in order, after the cursor has passed it; or
  // by its skipped writer, which erases the content first. Other content in a
  // free slot means that the word is damaged.
  bool WasNotReleased(uint64_t p) const {
    return p >= result_.live.released &&
           (cursor_is_latest_ || p > lowest_intact_) && HoldsContentOf(p);
  }

  uint64_t Assemble(uint64_t p) {
    std::string buffer;
    const AssembledRecord record = AssembleRecord(
        p, geometry_, seed_, [this](uint64_t q) { return SlotAt(q); }, &buffer);
    if (record.outcome == AssembledRecord::kGap) {
      AddGap(p, record.slot_count, record.cause);
    } else if (record.outcome == AssembledRecord::kRecord) {
      RecoveredRecord recovered;
      recovered.position = p;
      recovered.slot_count = record.slot_count;
      recovered.head = record.head;
      recovered.body = record.body;
      if (record.slot_count > 1) {
        result_.assembled.push_back(std::move(buffer));
        recovered.body = result_.assembled.back();
      }
      result_.records.push_back(recovered);
    } else if (!result_.gaps.empty() && result_.gaps.back().end_position == p) {
      // The part belongs to the record that the gap is about. One record is one
      // gap.
      ++result_.gaps.back().end_position;
    }
    return record.slot_count;
  }

  // Crash reports come after all other records, because the process died after
  // them.
  void AddCrashReports(uint64_t position) {
    const RingHeader& header = result_.header;
    const absl::string_view area =
        file_.substr(std::min<uint64_t>(file_.size(), header.crash_offset),
                     header.crash_bytes);
    for (CrashReport& report : ReadCrashArea(area, seed_)) {
      RecoveredRecord recovered;
      recovered.position = position++;
      recovered.slot_count = 1;
      recovered.is_crash_report = true;
      recovered.head = result_.assembled.emplace_back(HeadOf(report));
      recovered.body = result_.assembled.emplace_back(std::move(report.text));
      result_.records.push_back(recovered);
    }
  }

  const absl::string_view file_;
  const RecoverFrom from_;
  const SlotGeometry geometry_;
  const absl::crc32c_t seed_;
  // Slots that the file is long enough for.
  const uint64_t slots_present_;
  // All positions below are persisted or were never used.
  uint64_t cursor_ = 0;
  // True if the cursor is the one that was published last.
  bool cursor_is_latest_ = false;
  // Lowest position of an intact slot.
  uint64_t lowest_intact_ = kNone;
  // Positions that words or the tail suggest were in use.
  std::vector<uint64_t> candidates_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  uint64_t first_gap_position_ = 0;
  RecoveredRing result_;
};

}  // namespace

absl::StatusOr<RecoveredRing> RecoverRing(absl::string_view file,
                                          RecoverFrom from) {
  absl::StatusOr<RingHeader> header = ParseRingHeader(file);
  if (!header.ok()) return header.status();
  return RecoverRing(file, *header, from);
}

RecoveredRing RecoverRing(absl::string_view file, const RingHeader& header,
                          RecoverFrom from) {
  return RingRecovery(file, header, from).Run();
}

}  // namespace ringlog
