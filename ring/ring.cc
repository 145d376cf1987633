#include "ringlog/ring/ring.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {

// ---- Writers ----

size_t Ring::max_body_bytes(size_t head_bytes) const {
  const uint64_t slots =
      std::min<uint64_t>(std::max<uint64_t>(1, header_.slot_count / 2),
                         std::numeric_limits<uint16_t>::max());
  return slots * payload_bytes_ - head_bytes;
}

void Ring::AbandonSlots(uint64_t begin, uint64_t end) {
  for (uint64_t p = begin; p < end; ++p) {
    slots_.FillSlot(p, 0, 0, 0, {}, {});
    slots_.CommitSlot(p);
  }
}

bool Ring::Commit(const SlotRange& claim, Severity severity,
                  absl::string_view head, absl::string_view body) {
  body = body.substr(0, claim.slot_count * payload_bytes_ - head.size());
  const size_t first_bytes =
      std::min(body.size(), payload_bytes_ - head.size());
  const auto count = static_cast<uint16_t>(claim.slot_count);
  absl::string_view rest = body.substr(first_bytes);
  // Stored before the caller's bytes are read, because reading them may block.
  const auto writer = static_cast<uint32_t>(ThreadOfHead(head));
  for (uint64_t p = claim.position; p < claim.end(); ++p) {
    slots_.StoreWriter(p, writer);
  }
  for (uint16_t part = 1; part < count; ++part) {
    const absl::string_view piece = rest.substr(0, payload_bytes_);
    rest.remove_prefix(piece.size());
    const uint64_t position = claim.position + part;
    slots_.FillSlot(position, part, count, static_cast<uint8_t>(severity), {},
                    piece);
    // The result is not needed: the flusher skips parts in order, so if it has
    // skipped this part, it has skipped part 0 too.
    slots_.CommitSlot(position);
  }
  slots_.FillSlot(claim.position, 0, count, static_cast<uint8_t>(severity),
                  head, body.substr(0, first_bytes));
  return slots_.CommitSlot(claim.position);
}

void Ring::Abandon(const SlotRange& claim) {
  AbandonSlots(claim.position, claim.end());
}

Ring::AppendResult Ring::Append(Severity severity, absl::string_view head,
                                absl::string_view body) {
  AppendResult result = AppendResult::kAppended;
  if (const size_t max_bytes = max_body_bytes(head.size());
      body.size() > max_bytes) {
    body = body.substr(0, max_bytes);
    result = AppendResult::kTruncated;
  }
  for (;;) {
    const std::optional<SlotRange> claim =
        Claim(severity, head.size(), body.size());
    if (!claim) return AppendResult::kDropped;
    if (Commit(*claim, severity, head, body)) break;
  }
  if (result == AppendResult::kTruncated) AddRelaxed(&live_->truncated, 1);
  return result;
}

// ---- The flusher ----

std::optional<Ring::Taken> Ring::Take() {
  if (has_no_flusher()) return std::nullopt;
  while (take_position() < EndOfClaimed()) {
    switch (slots_.ExamineSlot(take_position())) {
      case Slots::SlotStatus::kNotClaimed:
      case Slots::SlotStatus::kPending:
        return std::nullopt;
      case Slots::SlotStatus::kNothing:
      case Slots::SlotStatus::kPersisting:
        SetTakePosition(take_position() + 1);
        break;
      case Slots::SlotStatus::kFilled: {
        std::optional<Taken> taken = TakeFilled();
        if (taken) return taken;
        break;
      }
    }
  }
  return std::nullopt;
}

// Returns nothing if the slot has no record: an abandoned claim, or a part of a
// record whose part 0 was skipped.
std::optional<Ring::Taken> Ring::TakeFilled() {
  const uint64_t position = take_position();
  AssembledRecord record = AssembleRecord(
      position, geometry_, slots_.seed(),
      [this](uint64_t p) {
        return absl::string_view(
            reinterpret_cast<const char*>(slots_.SlotOf(p)),
            header_.slot_bytes);
      },
      &assembled_);
  const SlotRange slots = MarkTaken(position, record);
  SetTakePosition(slots.end());
  if (record.outcome == AssembledRecord::kNothing) return std::nullopt;
  Taken taken;
  taken.slots = slots;
  if (record.outcome == AssembledRecord::kGap) taken.gap = record.cause;
  taken.head = record.head;
  taken.body = record.body;
  return taken;
}

// Marks the slots of a record as Persisting and returns them. A record that is
// not intact has lost parts, perhaps before Open(). Their positions may be
// those of new records by now, which end the range.
SlotRange Ring::MarkTaken(uint64_t position, const AssembledRecord& record) {
  const bool is_gap = record.outcome == AssembledRecord::kGap;
  SlotRange taken{position, 0};
  for (; taken.slot_count < record.slot_count; ++taken.slot_count) {
    const uint64_t p = taken.end();
    if (is_gap && p != position) {
      const Slots::SlotStatus status = slots_.ExamineSlot(p);
      if (status == Slots::SlotStatus::kNotClaimed ||
          status == Slots::SlotStatus::kPending) {
        break;
      }
      if (status != Slots::SlotStatus::kFilled) continue;
    }
    slots_.MarkPersisting(p);
  }
  return taken;
}

std::optional<uint64_t> Ring::pending() {
  if (has_no_flusher()) return std::nullopt;
  const uint64_t position = take_position();
  if (slots_.ExamineSlot(position) != Slots::SlotStatus::kPending) {
    return std::nullopt;
  }
  return position;
}

std::optional<SlotRange> Ring::Skip(uint64_t end, int64_t* thread_id) {
  if (has_no_flusher()) return std::nullopt;
  end = std::min(end, EndOfClaimed());
  std::optional<SlotRange> skipped;
  std::optional<uint32_t> skipped_writer;
  for (uint64_t p = take_position(); p < end; ++p) {
    const std::optional<uint32_t> writer = slots_.WriterOf(p);
    if (skipped && writer != skipped_writer) return skipped;
    switch (slots_.TrySkip(p)) {
      case Slots::SkipResult::kNotPending:
        return skipped;
      case Slots::SkipResult::kPositionSkipped:
        break;
      case Slots::SkipResult::kRecordSkipped:
        if (!skipped) {
          skipped = SlotRange{p, 0};
          skipped_writer = writer;
          if (thread_id != nullptr) *thread_id = writer.value_or(0);
        }
        skipped->slot_count = static_cast<uint32_t>(p + 1 - skipped->position);
        break;
    }
    SetTakePosition(p + 1);
  }
  return skipped;
}

void Ring::PublishCursor(uint64_t end_position, absl::string_view state) {
  const uint64_t valid = LoadRelaxed(&live_->cursor_selector) & 1;
  PersistCursor cursor = {};
  cursor.sequence = live_->cursor[valid].sequence + 1;
  cursor.end_position = end_position;
  cursor.state_bytes =
      static_cast<uint32_t>(std::min(state.size(), sizeof cursor.state));
  state.copy(reinterpret_cast<char*>(cursor.state), cursor.state_bytes);
  cursor.crc32c = PersistCursorChecksum(slots_.seed(), cursor);
  // Death here: recovery uses the other cursor, which is intact.
  std::memcpy(&live_->cursor[1 - valid], &cursor, sizeof cursor);
  Slots::Publish(&live_->cursor_selector, 1 - valid);
}

void Ring::Release() {
  if (has_no_flusher()) return;
  for (; release_position_ < take_position(); ++release_position_) {
    slots_.FreeSlot(release_position_);
  }
  slots_.AdvanceReleased(release_position_);
}

// Advances the tail over all slots, which succeeds only if the ring is empty.
bool Ring::Seal() {
  if (has_no_flusher()) return false;
  const auto all = static_cast<uint32_t>(header_.slot_count);
  if (!slots_.AdvanceTail(all, all)) return false;
  is_sealed_.store(true);
  SetFlusherEnded();
  return true;
}

// ---- Any thread ----

bool Ring::Contains(const void* p) const {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const auto begin = reinterpret_cast<uintptr_t>(file_.bytes().data());
  return address >= begin && address - begin < file_.bytes().size();
}

bool Ring::empty() const {
  const uint64_t tail = slots_.tail();
  for (uint64_t p = slots_.released(); p < tail; ++p) {
    const SlotState state = WordState(slots_.word(p));
    if (state == SlotState::kFilled || state == SlotState::kPersisting) {
      return false;
    }
  }
  return true;
}

uint64_t Ring::unprocessed_count() const {
  // With kOverwriteOldest the take position does not move.
  const uint64_t begin = std::max(slots_.released(), take_position());
  const uint64_t end = slots_.tail();
  return end - std::min(begin, end);
}

uint64_t Ring::used_slots() const {
  // The order matters: `released` first, because the tail only grows.
  const uint64_t begin = slots_.released();
  return std::min(slots_.tail() - begin, header_.slot_count);
}

absl::Status Ring::Sync(SyncMode mode) {
  return file_.Sync(mode == SyncMode::kWait);
}

uint64_t Ring::dropped(DropCause cause, Severity severity) const {
  return LoadRelaxed(&live_->dropped[static_cast<size_t>(cause)]
                                    [static_cast<size_t>(severity)]);
}

DropCounts Ring::dropped() const {
  DropCounts counts = {};
  for (size_t cause = 0; cause < counts.size(); ++cause) {
    for (size_t severity = 0; severity < counts[cause].size(); ++severity) {
      counts[cause][severity] = dropped(static_cast<DropCause>(cause),
                                        static_cast<Severity>(severity));
    }
  }
  return counts;
}

void Ring::CountDrop(DropCause cause, Severity severity) {
  AddRelaxed(&live_->dropped[static_cast<size_t>(cause)]
                            [static_cast<size_t>(severity)],
             1);
}

uint64_t Ring::truncated() const { return LoadRelaxed(&live_->truncated); }

}  // namespace ringlog
