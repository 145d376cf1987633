// Flusher
//
// The one background thread: takes records from a ring, writes them into
// segments, publishes the persist cursor, frees the slots; begins a new segment
// when one is full. Exactly in that order, so that a kill between any two steps
// neither loses a record nor leaves one twice (compress/FORMAT.md, "Exactly
// once").
//
// It never uses LOG and never ends the process. What goes wrong is counted in
// the ring's header, and told on stderr at most once a minute; records
// meanwhile stay in the ring.
//
// Thread-safe. The ring must outlive it.

#ifndef RINGLOG_COMPRESS_FLUSHER_H_
#define RINGLOG_COMPRESS_FLUSHER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

struct FlusherOptions {
  std::string directory;  // of the segments; must exist
  LineFormat format = LineFormat::kText;
  absl::Duration flush_interval = absl::Milliseconds(
      200);  // a record waits no longer than this for its batch
  size_t batch_bytes =
      64 << 10;  // of text; a batch is written when it is as large as this
  absl::Duration stuck_writer_timeout = absl::Seconds(1);
  SegmentWriterOptions segment;
  RotationOptions rotation;
};

class Flusher {
 public:
  // Starts the thread. All signals are blocked in it.
  static std::unique_ptr<Flusher> Start(Ring* ring,
                                        const FlusherOptions& options);

  // Stop(), without waiting longer than it takes.
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  // Returns when every record that was committed before the call is in a
  // segment, or `timeout` has passed: true in the first case. Any thread, any
  // number at once.
  bool Flush(absl::Duration timeout);

  // Writes what the ring holds, closes the segment, ends the thread. The status
  // of the first thing that failed; the records are then still in the ring.
  // Idempotent.
  absl::Status Stop();
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_H_
