// Claims of slots, and the overflow policies.

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/ring.h"

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

uint32_t Ring::SlotsNeeded(size_t head_bytes, size_t body_bytes) const {
  return static_cast<uint32_t>(std::max<size_t>(
      1, (head_bytes + body_bytes + payload_bytes_ - 1) / payload_bytes_));
}

uint64_t Ring::capacity(Severity severity) const {
  // Eviction makes room for each record.
  if (has_no_flusher()) return header_.slot_count;
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
    const uint32_t wanted = CountToHeldSlot(slot_count);
    const std::optional<uint64_t> begin = slots_.AdvanceTail(wanted, limit);
    if (!begin) return std::nullopt;
    uint64_t p = *begin;
    const uint64_t end = p + wanted;
    while (p < end && slots_.ClaimSlot(p)) ++p;
    if (p == end && wanted == slot_count) return SlotRange{*begin, slot_count};
    AbandonSlots(*begin, p);
    // Claims the remaining positions too. Otherwise the flusher would wait for
    // them.
    for (++p; p < end; ++p) {
      if (slots_.ClaimSlot(p)) AbandonSlots(p, p + 1);
    }
    *held += wanted;
    // The limit keeps room for other records. These positions have none.
    limit = std::min(limit + wanted, header_.slot_count);
  }
  return std::nullopt;
}

// Returns `slot_count`, or less if a stuck writer owns one of the next
// `slot_count` slots: the number of positions up to and including that slot. A
// claim of more would waste them.
uint32_t Ring::CountToHeldSlot(uint32_t slot_count) const {
  if (slot_count == 1) return 1;
  const uint64_t tail = slots_.tail();
  for (uint32_t i = 0; i < slot_count; ++i) {
    const uint64_t word = slots_.word(tail + i);
    const bool is_owned = WordState(word) == SlotState::kFilling ||
                          WordState(word) == SlotState::kSkipped;
    if (is_owned && WordPosition(word) < tail) return i + 1;
  }
  return slot_count;
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
  // After so many positions, all free room lies between slots that stuck
  // writers own, and is too small. In a small ring, writers that are only
  // interrupted may own all slots; they need the processor.
  constexpr uint64_t kMinPositions = 4096;
  constexpr uint64_t kPositionsBeforeYield = 64;
  const uint64_t max_held = std::max(2 * header_.slot_count, kMinPositions);
  for (uint64_t held = 0; held < max_held;) {
    EvictOldest();
    if (auto claim = TryClaim(slot_count, limit, &held)) return claim;
    if (held > kPositionsBeforeYield) sched_yield();
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

}  // namespace ringlog
