// RingDrain
//
// Takes what a live ring holds into batches: records, and a gap for everything
// that is not there, where it is missing. What happens to a batch is the
// flusher's.
//
// Thread-compatible.

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

class RingDrain {
 public:
  // The ring's one consumer; `ring` must outlive it. A writer that holds others
  // up for longer than the timeout is gone past.
  RingDrain(Ring* ring, absl::Duration stuck_writer_timeout);

  // Adds what there is. True if it stopped because the batch has `batch_bytes`
  // of text, or all that was taken is a quarter of the ring: there may be more.
  bool FillBatch(size_t batch_bytes, BatchBuilder* batch);

  // Adds a gap for each kind of drop since the last call: every loss is told in
  // the log itself, where it happened.
  void AddDropGaps(BatchBuilder* batch);
  // The drops that gaps tell of.
  const DropCounts& reported_drops() const { return reported_drops_; }

 private:
  bool IsFull(size_t batch_bytes, const BatchBuilder& batch) const;
  void PassStuckWriters(BatchBuilder* batch);

  Ring* const ring_;
  const absl::Duration stuck_writer_timeout_;
  DropCounts reported_drops_ = {};
  absl::Time drops_reported_at_;
  struct Stuck {
    uint64_t tail = 0;     // everything below was claimed at `since`
    absl::Duration since;  // monotonic
    absl::Time time;       // the same moment
  };
  std::optional<Stuck> stuck_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_RING_DRAIN_H_
