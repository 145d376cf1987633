// OverflowPolicy: the policy for records if the ring is full.

#ifndef RINGLOG_RING_OVERFLOW_POLICY_H_
#define RINGLOG_RING_OVERFLOW_POLICY_H_

#include <cstdint>

namespace ringlog {

// Each dropped record is counted, by cause and severity (drop_counts.h).
enum class OverflowPolicy : uint8_t {
  // Drops the new record. The caller never waits.
  kDropNewest,
  // Waits until there is room, at most for the block deadline; then drops the
  // new record. Does not wait if the ring has no flusher any more. Not fair: a
  // thread that comes later, or has a shorter record, may get the room first.
  kBlock,
  // Evicts the oldest records, as a flight recorder does; such a ring has no
  // flusher. If a writer is still writing the oldest slot, skips that slot; the
  // writer then appends its record again. Drops the new record only if writers
  // that do not run own so many slots that the record has no room between them.
  kOverwriteOldest,
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OVERFLOW_POLICY_H_
