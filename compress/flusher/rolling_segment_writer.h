// RollingSegmentWriter
//
// Writes the segments of one ring, one after the other: creates and names their
// files, and publishes in the ring's cursor how much of them counts. The
// flusher decides when a segment is full and what to do about an error.
//
//   if (!segments.is_open()) segments.Begin();
//   segments.Add(batch);                  // compresses into memory
//   while (!segments.Write().ok()) Wait();
//   segments.Sync();                      // does nothing without `sync`
//   segments.Publish(batch_end, drops);   // from here on the batch counts
//
// Death between two of these calls leaves bytes in the segment that the ring's
// cursor does not cover. Recovery removes these bytes and takes the records
// from the ring (compress/FORMAT.md, "Exactly once").
//
// The ways in which a segment ends (SegmentEnd):
//
//   Begin() --> kOpen --AddEnd()--> kEndAdded --Write()--> kSealed ---+
//                 |                     |                             |
//                 +------- error -------+                             |
//                            |                                        |
//                            +--Write()---------> kDeleted -----------+
//                            |                                        |
//                            +--SealPublished()-> kSealed, kClosed    |
//                            |                    or kDeleted --------+
//                            | error                                  |
//                            +--Abandon()-------> kAbandoned ---------+
//                                                                     |
//                                                                  Close()
//
//   state       last frame  seek table  cursor after     recovery
//                                       Close() names
//   kSealed     complete    yes         the next one     does not touch it
//   kClosed     complete    no          this one         adds the seek table
//   kAbandoned  open        no          this one         completes it
//   kDeleted    no file                 this one         has nothing to do
//
// Recovery can complete a closed segment until Publish() names another one.
// If nothing in the segment was published, Close() deletes it and restores the
// cursor that was current before Begin().
//
// Thread-compatible.

#ifndef RINGLOG_COMPRESS_FLUSHER_ROLLING_SEGMENT_WRITER_H_
#define RINGLOG_COMPRESS_FLUSHER_ROLLING_SEGMENT_WRITER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

struct SegmentSequenceOptions {
  // Created if it is missing and its parent is not.
  std::string directory;
  LineFormat format = LineFormat::kText;
  SegmentWriterOptions segment;
  // Each batch is a frame of its own, with a checksum and metadata. Before
  // Publish() the batch and the file's name are on the disk: records below the
  // released positions survive the machine, and recovery recognizes them
  // without a cursor.
  bool sync = false;
};

// How far the end of a segment is. The drawing above has the transitions.
enum class SegmentEnd {
  kOpen,       // takes batches
  kEndAdded,   // its end is compressed, not yet written
  kSealed,     // its end is written
  kClosed,     // its last frame is complete, its seek table may be missing
  kDeleted,    // its file is deleted
  kAbandoned,  // it has no end; bytes that were not published are removed
};

class RollingSegmentWriter {
 public:
  // `ring` must outlive it.
  RollingSegmentWriter(Ring* ring, const SegmentSequenceOptions& options);
  ~RollingSegmentWriter();
  RollingSegmentWriter(const RollingSegmentWriter&) = delete;
  RollingSegmentWriter& operator=(const RollingSegmentWriter&) = delete;

  // Uses `options` from the next segment on. Requires: the same directory and
  // format; the same `sync`, or !is_open().
  void Reconfigure(const SegmentSequenceOptions& options);

  bool is_open() const { return writer_ != nullptr; }
  // Published compressed bytes: of the current segment, and of all segments.
  uint64_t segment_bytes() const;
  uint64_t total_bytes() const { return closed_bytes_ + segment_bytes(); }

  // Begins the next segment. If there is a file of its name, reports that file
  // on stderr and uses a name that others cannot predict. Requires: !is_open().
  // After an error, the ring's cursor is the one from before the call.
  //   ResourceExhausted: the disk or a quota is full
  //   Internal:          zstd is out of memory
  //   others:            those of opening and creating the directory and the
  //                      file and, with `sync`, of fsync(2) of the directory
  absl::Status Begin();

  // Compresses a batch, or the segment's end. After an error nothing more can
  // be added to this segment.
  absl::Status Add(const SegmentWriter::Batch& batch);
  absl::Status AddEnd();

  // Writes the added bytes; may be called again after an error.
  //   NotFound: the file is deleted, and no reader will find its records
  //   others:   those of write(2)
  absl::Status Write();

  // Without `sync`, does nothing. Otherwise calls fdatasync(2), and after
  // Abandon() fsync(2), which makes the new length durable. An error is final
  // for the file: it takes nothing more. Before its records are written to
  // another segment, Abandon() must remove them.
  absl::Status Sync();

  // Publishes in the ring's cursor that the segments contain all records below
  // `end_position`, and report these drops.
  void Publish(uint64_t end_position, const DropCounts& reported_drops);

  // Writes the end of a segment that takes no more batches, after the published
  // bytes, as recovery would. Uses its own descriptor: the segment's may be
  // useless. May be called again after an error. If it returns OK, the segment
  // needs no recovery, and its records may be written to another one.
  absl::Status SealPublished();

  // Truncates the file to the published bytes. Nothing more can be added. May
  // be called again after an error, which is one of ftruncate(2).
  absl::Status Abandon();

  // Closes the file and returns the way in which the segment ended. `cause` is
  // the error for which it is closed before its end, if any.
  SegmentEnd Close(const absl::Status& cause);

  // Cause of the abandoned segment that the ring's cursor still names: recovery
  // can complete that segment, unless another one is published. Otherwise OK.
  const absl::Status& abandoned() const { return abandoned_; }

  // Returns the paths of closed segments, each one once, unless the ring's
  // cursor still names the last one: recovery could add to it.
  std::vector<std::string> TakeClosed();

 private:
  // A published cursor. `names_next`: the cursor names a segment that has not
  // been begun.
  struct Published {
    SegmentCursor cursor;
    bool names_next = false;
  };

  void PublishCursor();
  void NameNext(uint32_t salt);
  void TakeBackBegin();
  void PointCurrentLink();
  absl::Status TruncateToPublished();
  bool RemoveSegment();
  SegmentIdentity Identity() const;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> CreateNext(uint32_t salt);
  absl::StatusOr<std::unique_ptr<SegmentWriter>> CreateSegment(
      const std::string& name);
  absl::StatusOr<std::unique_ptr<SegmentWriter>> CreateSegmentIn(
      const Directory& directory, const std::string& name) const;

  Ring* const ring_;
  SegmentSequenceOptions options_;
  uint64_t published_end_;  // a position
  Published published_;
  Published before_begin_;

  // Directory of the last segment; before the first one, the directory that
  // was there at the start.
  std::optional<Directory> directory_;
  // The current segment.
  std::unique_ptr<SegmentWriter> writer_;
  SegmentEnd end_ = SegmentEnd::kOpen;
  // Whether a failed SealPublished() may have left bytes after the published
  // ones.
  bool must_truncate_ = false;

  bool has_reported_link_ = false;

  // Closed segments.
  uint64_t closed_bytes_ = 0;
  std::vector<std::string> closed_paths_;  // not yet taken
  bool last_is_named_ = false;             // by the ring's cursor
  absl::Status abandoned_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_ROLLING_SEGMENT_WRITER_H_
