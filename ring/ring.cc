#include "ringlog/ring/ring.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

// ---- Writers ----

uint32_t Ring::SlotsNeeded(size_t head_bytes, size_t body_bytes) const {
  return static_cast<uint32_t>(std::max<size_t>(
      1, (head_bytes + body_bytes + payload_bytes_ - 1) / payload_bytes_));
}

size_t Ring::max_body_bytes(size_t head_bytes) const {
  const uint64_t slots =
      std::min<uint64_t>(std::max<uint64_t>(1, header_.slot_count / 2),
                         std::numeric_limits<uint16_t>::max());
  return slots * payload_bytes_ - head_bytes;
}

uint64_t Ring::capacity(Severity severity) const {
  const uint64_t share = header_.slot_count / 16;
  switch (severity) {
    case Severity::kFatal:
      return header_.slot_count;
    case Severity::kError:
    case Severity::kWarning:
      return header_.slot_count - share;
    case Severity::kInfo:
      break;
  }
  return header_.slot_count - 2 * share;
}

std::optional<SlotRange> Ring::TryClaim(uint32_t slot_count, uint64_t limit,
                                        uint64_t* held) {
  // If a stuck writer owns one of the slots, the claim fails and the next
  // attempt begins after it. If several writers are stuck, there may be no room
  // between them for a long record.
  constexpr int kMaxAttempts = 16;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const std::optional<uint64_t> begin = slots_.AdvanceTail(slot_count, limit);
    if (!begin) return std::nullopt;
    uint64_t p = *begin;
    const uint64_t end = p + slot_count;
    while (p < end && slots_.ClaimSlot(p)) ++p;
    if (p == end) return SlotRange{*begin, slot_count};
    AbandonSlots(*begin, p);
    // Claims the remaining positions too. Otherwise the flusher would wait for
    // them.
    for (++p; p < end; ++p) {
      if (slots_.ClaimSlot(p)) AbandonSlots(p, p + 1);
    }
    *held += slot_count;
  }
  return std::nullopt;
}

void Ring::AbandonSlots(uint64_t begin, uint64_t end) {
  for (uint64_t p = begin; p < end; ++p) {
    slots_.FillSlot(p, 0, 0, 0, {}, {});
    slots_.CommitSlot(p);
  }
}

std::optional<SlotRange> Ring::WaitAndClaim(uint32_t slot_count,
                                            uint64_t limit) {
  constexpr int kSpins = 64;
  uint64_t held = 0;  // ignored: the deadline alone ends the wait
  for (int i = 0; i < kSpins; ++i) {
    Pause();
    if (auto claim = TryClaim(slot_count, limit, &held)) return claim;
  }
  const absl::Duration begin = MonotonicTime();
  absl::Duration nap = absl::Microseconds(20);
  for (;;) {
    const absl::Duration left = begin + block_deadline_ - MonotonicTime();
    if (left <= absl::ZeroDuration()) return std::nullopt;
    if (!has_flusher_.load()) return std::nullopt;
    absl::SleepFor(std::min(nap, left));
    if (auto claim = TryClaim(slot_count, limit, &held)) return claim;
    nap = std::min(2 * nap, absl::Milliseconds(1));
  }
}

// Frees the oldest slot, unless another thread does so first.
void Ring::EvictOldest() {
  const uint64_t oldest = slots_.released();
  switch (slots_.ExamineSlot(oldest)) {
    case Slots::SlotStatus::kNotClaimed:
      return;
    case Slots::SlotStatus::kPending:
      if (slots_.TrySkip(oldest) == Slots::SkipResult::kNotPending) return;
      break;
    case Slots::SlotStatus::kFilled:
    case Slots::SlotStatus::kPersisting: {
      int severity;
      if (slots_.EvictSlot(oldest, &severity) && severity >= 0) {
        CountDrop(DropCause::kOverwritten, static_cast<Severity>(severity));
      }
      break;
    }
    case Slots::SlotStatus::kNothing:
      break;
  }
  slots_.AdvanceReleasedFrom(oldest);
}

std::optional<SlotRange> Ring::EvictAndClaim(uint32_t slot_count,
                                             uint64_t limit) {
  // After two laps of claims that failed, all free room lies between slots that
  // stuck writers own, and is too small.
  for (uint64_t held = 0; held < 2 * header_.slot_count;) {
    EvictOldest();
    if (auto claim = TryClaim(slot_count, limit, &held)) return claim;
  }
  return std::nullopt;
}

std::optional<SlotRange> Ring::Claim(Severity severity, size_t head_bytes,
                                     size_t body_bytes) {
  if (head_bytes > header_.head_bytes ||
      body_bytes > max_body_bytes(head_bytes)) {
    if (!has_successor()) CountDrop(DropCause::kRingFull, severity);
    return std::nullopt;
  }
  const uint32_t count = SlotsNeeded(head_bytes, body_bytes);
  const uint64_t limit = capacity(severity);
  uint64_t held = 0;
  std::optional<SlotRange> claim = TryClaim(count, limit, &held);
  DropCause cause = DropCause::kRingFull;
  if (!claim && overflow_ == OverflowPolicy::kBlock) {
    claim = WaitAndClaim(count, limit);
    cause = DropCause::kTimedOut;
  } else if (!claim && overflow_ == OverflowPolicy::kOverwriteOldest) {
    claim = EvictAndClaim(count, limit);
  }
  if (!claim && !has_successor()) {
    CountDrop(has_flusher_.load() ? cause : DropCause::kClosed, severity);
  }
  return claim;
}

bool Ring::Commit(const SlotRange& claim, Severity severity,
                  absl::string_view head, absl::string_view body) {
  body = body.substr(0, claim.slot_count * payload_bytes_ - head.size());
  const size_t first_bytes =
      std::min(body.size(), payload_bytes_ - head.size());
  const auto count = static_cast<uint16_t>(claim.slot_count);
  absl::string_view rest = body.substr(first_bytes);
  // Stored before the caller's bytes are read, because reading them may block.
  slots_.StoreWriter(claim.position, static_cast<uint32_t>(ThreadOfHead(head)));
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
  if (overflow_ == OverflowPolicy::kOverwriteOldest) return std::nullopt;
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
  const uint64_t end = position + record.slot_count;
  for (uint64_t p = position; p < end; ++p) slots_.MarkPersisting(p);
  SetTakePosition(end);
  if (record.outcome == AssembledRecord::kNothing) return std::nullopt;
  Taken taken;
  taken.slots = SlotRange{position, record.slot_count};
  if (record.outcome == AssembledRecord::kGap) taken.gap = record.cause;
  taken.head = record.head;
  taken.body = record.body;
  return taken;
}

std::optional<uint64_t> Ring::pending() {
  const uint64_t position = take_position();
  if (slots_.ExamineSlot(position) != Slots::SlotStatus::kPending) {
    return std::nullopt;
  }
  return position;
}

std::optional<SlotRange> Ring::Skip(uint64_t end, int64_t* thread_id) {
  end = std::min(end, EndOfClaimed());
  std::optional<SlotRange> skipped;
  for (uint64_t p = take_position(); p < end; ++p) {
    const std::optional<uint32_t> writer = slots_.WriterOf(p);
    // The position begins a record of another thread.
    if (writer && skipped) return skipped;
    switch (slots_.TrySkip(p)) {
      case Slots::SkipResult::kNotPending:
        return skipped;
      case Slots::SkipResult::kPositionSkipped:
        break;
      case Slots::SkipResult::kRecordSkipped:
        if (!skipped) {
          skipped = SlotRange{p, 0};
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
  for (; release_position_ < take_position(); ++release_position_) {
    slots_.FreeSlot(release_position_);
  }
  slots_.AdvanceReleased(release_position_);
}

// Advances the tail over all slots, which succeeds only if the ring is empty.
bool Ring::Seal() {
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
