#include "ringlog/compress/flusher/ring_drain.h"

#include "absl/time/clock.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

RingDrain::RingDrain(Ring* ring, absl::Duration stuck_writer_timeout)
    : ring_(ring),
      stuck_writer_timeout_(stuck_writer_timeout),
      drops_reported_at_(absl::Now()) {}

bool RingDrain::IsFull(size_t batch_bytes, const BatchBuilder& batch) const {
  return batch.text_bytes() >= batch_bytes ||
         ring_->taken_slots() >= ring_->header().slot_count / 4;
}

bool RingDrain::FillBatch(size_t batch_bytes, BatchBuilder* batch) {
  while (!IsFull(batch_bytes, *batch)) {
    const std::optional<Ring::Taken> taken = ring_->Take();
    if (!taken) {
      SkipStuckWriter(batch);
      return false;
    }
    if (taken->gap) {
      Gap gap;
      gap.cause = *taken->gap;
      gap.first_position = taken->slots.position;
      gap.end_position = taken->slots.end();
      batch->AddGap(gap, absl::GetCurrentTimeNanos());
    } else {
      batch->AddRecord(taken->slots.position, taken->slots.slot_count,
                       taken->head, taken->body);
    }
  }
  return true;
}

void RingDrain::AddDropGaps(BatchBuilder* batch) {
  const DropCounts now = ring_->dropped();
  if (now == reported_drops_) return;
  const absl::Time time = absl::Now();
  for (Gap& gap : DropGaps(now, reported_drops_, ring_->take_position())) {
    gap.first_time_ns = absl::ToUnixNanos(drops_reported_at_);
    gap.last_time_ns = absl::ToUnixNanos(time);
    batch->AddGap(gap, gap.last_time_ns);
  }
  reported_drops_ = now;
  drops_reported_at_ = time;
}

// Skips the writer of the next position if that position has been claimed for
// too long. Each position below wait_->tail has been claimed at least since the
// wait began, so one wait serves all writers that are stuck together.
void RingDrain::SkipStuckWriter(BatchBuilder* batch) {
  const std::optional<uint64_t> pending = ring_->pending();
  if (!pending) {
    wait_.reset();
    return;
  }
  const absl::Duration now = MonotonicTime();
  if (!wait_ || *pending >= wait_->tail) {
    wait_ = Wait{ring_->tail_position(), now, absl::Now()};
    return;
  }
  if (now - wait_->since < stuck_writer_timeout_) return;
  Gap gap;
  const std::optional<SlotRange> skipped =
      ring_->Skip(wait_->tail, &gap.thread_id);
  if (!skipped) return;
  gap.cause = GapCause::kStuckWriter;
  gap.first_position = skipped->position;
  gap.end_position = skipped->end();
  gap.first_time_ns = absl::ToUnixNanos(wait_->time);
  gap.last_time_ns = absl::GetCurrentTimeNanos();
  batch->AddGap(gap, gap.last_time_ns);
  AddRelaxed(&ring_->flusher_counters()->skipped_slots, skipped->slot_count);
}

}  // namespace ringlog
