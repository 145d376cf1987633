// RingDrain
//
// Takes the records of a live ring into batches, with a gap at the position of
// each range of missing records.

#ifndef RINGLOG_COMPRESS_FLUSHER_RING_DRAIN_H_
#define RINGLOG_COMPRESS_FLUSHER_RING_DRAIN_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Thread-compatible.
class RingDrain {
 public:
  // Skips the slots of a writer that is stuck for longer than
  // `stuck_writer_timeout`. No other object may take from `ring`, which must
  // outlive this object.
  RingDrain(Ring* ring, absl::Duration stuck_writer_timeout);

  // Adds records to `batch`. Returns true if the batch has `batch_bytes` of
  // text, or if a quarter of the ring is taken: there may be more records.
  bool FillBatch(size_t batch_bytes, BatchBuilder* batch);

  // Adds a gap for each cause of drops since the last call, at the position
  // that the batch has reached.
  void AddDropGaps(BatchBuilder* batch);
  // Returns the drops that gaps were added for.
  const DropCounts& reported_drops() const { return reported_drops_; }

 private:
  bool IsFull(size_t batch_bytes, const BatchBuilder& batch) const;
  void SkipStuckWriter(BatchBuilder* batch);

  Ring* const ring_;
  const absl::Duration stuck_writer_timeout_;
  DropCounts reported_drops_ = {};
  absl::Time drops_reported_at_;
  // A wait for a writer that has claimed its slots and not committed them.
  struct Wait {
    uint64_t tail = 0;     // all positions below it were claimed at `since`
    absl::Duration since;  // monotonic
    absl::Time time;       // wall clock time of `since`
  };
  std::optional<Wait> wait_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_RING_DRAIN_H_
