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
  // new record. Does not wait if the ring has no consumer any more.
  kBlock,
  // Overwrites the oldest record: a flight recorder, which has no consumer.
  // If a writer is still writing the oldest slot, skips that writer, which then
  // appends its record again. Drops the new record only if skipped writers hold
  // so many slots that the record does not fit between them.
  kOverwriteOldest,
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OVERFLOW_POLICY_H_
