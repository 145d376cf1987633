// RollingSegmentWriter
//
// The segments that a flusher writes for one ring, one after the other: makes
// their files and names, and tells the ring how far they are good. When one is
// full, and what to do about an error, the flusher decides.
//
//   if (!segments.is_open()) segments.Begin();
//   segments.Add(batch);                  // compresses into memory
//   while (!segments.Write().ok()) Wait();
//   segments.Sync();                      // where that is wanted
//   segments.Publish(batch_end, drops);   // from here on the batch counts
//
// Death between two of these leaves what the ring's cursor does not vouch for;
// recovery cuts that off, and has it from the ring (compress/FORMAT.md).
//
// Thread-compatible.

#ifndef RINGLOG_COMPRESS_FLUSHER_ROLLING_SEGMENT_WRITER_H_
#define RINGLOG_COMPRESS_FLUSHER_ROLLING_SEGMENT_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

struct SegmentSequenceOptions {
  std::string directory;  // made when it is missing and its parent is not
  LineFormat format = LineFormat::kText;
  SegmentWriterOptions segment;
  // Each batch is a frame of its own, with a checksum and metadata, and is on
  // the disk, the file's name too, before Publish(): what is below the released
  // positions outlives the machine, and recovery can tell it from what does
  // not, without a cursor.
  bool sync = false;
};

class RollingSegmentWriter {
 public:
  // `ring` must outlive it.
  RollingSegmentWriter(Ring* ring, const SegmentSequenceOptions& options);
  ~RollingSegmentWriter();
  RollingSegmentWriter(const RollingSegmentWriter&) = delete;
  RollingSegmentWriter& operator=(const RollingSegmentWriter&) = delete;

  // From the next segment on. Requires: the same directory and format; the same
  // `sync`, or !is_open().
  void Reconfigure(const SegmentSequenceOptions& options);

  bool is_open() const { return writer_ != nullptr; }
  // Compressed, as published: of the current segment, and of all.
  uint64_t segment_bytes() const;
  uint64_t total_bytes() const { return left_bytes_ + segment_bytes(); }

  // Begins the next segment. Requires: !is_open(). Errors are those of open(2)
  // and, with `sync`, of fsync(2) of the directory; the ring's cursor names the
  // segment of before then.
  absl::Status Begin();

  // Compresses a batch, or the segment's end. On an error nothing more can be
  // added to this segment.
  absl::Status Add(const SegmentWriter::Batch& batch);
  absl::Status AddEnd();

  // Writes what was added; may be called again after an error.
  //   NotFound: somebody has deleted the file: what is in it nobody will read
  //   others:   those of write(2)
  absl::Status Write();

  // Without `sync` does nothing. On an error, which is final for the file,
  // nothing more can be added to it; before its records are written anywhere
  // else it has to be cut back to what was on the disk.
  absl::Status Sync();
  // May be called again after an error. OK too if the file has gone.
  absl::Status TruncateToSynced();
  // Makes the cut durable. An error is final for the file again.
  absl::Status SyncTruncation();

  // For a file that takes no more: ends it behind what was published, as
  // recovery would. OK if that was done, or the file has gone; then its records
  // may be written elsewhere after Leave(). It may lack its seek table, though;
  // see has_end(). May be called again after an error.
  absl::Status EndEarly();
  // If it cannot be ended: at least there is nothing in it that was not
  // published. The same.
  absl::Status CutToPublished();

  // Says in the ring's cursor that everything below `end_position` is in the
  // segments, and these drops are told of there.
  void Publish(uint64_t end_position, const DropCounts& reported_drops);

  // Whether all of the current segment's end has been written, and with `sync`
  // nothing has failed since.
  bool has_end() const { return has_end_; }

  // Closes the file as it is, and returns its path; an empty one if the file
  // has gone. If it has_end() the ring's cursor names the next segment, with no
  // bytes, so that recovery does not touch this one any more. A segment in
  // which nothing is good is deleted, and the cursor names what it named before
  // Begin(): a segment that may still need its end. If it can be neither
  // deleted nor emptied the cursor stays, and recovery does.
  std::string Leave();

 private:
  void PublishCursor();
  void NameNext();
  void TakeBackBegin();
  bool IsRemoved();
  SegmentIdentity Identity() const;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> CreateSegment(
      const std::string& path);

  Ring* const ring_;
  SegmentSequenceOptions options_;
  std::unique_ptr<SegmentWriter> writer_;
  SegmentCursor cursor_;     // as published last
  SegmentCursor before_;     // as published before Begin()
  bool names_next_ = false;  // cursor_ does: one that has not been begun
  uint64_t published_end_;
  bool must_cut_ = false;  // there may be more in the file than was published
  bool ends_ = false;      // the end was added, if not written
  bool has_end_ = false;
  uint64_t left_bytes_ = 0;  // of segments before the current one
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_ROLLING_SEGMENT_WRITER_H_
