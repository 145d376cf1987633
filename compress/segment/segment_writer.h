// Writes one segment: zstd frames of lines, a metadata frame after each of
// them, and a seek table at the end. compress/FORMAT.md describes the format.
//
// A batch is added in two steps, so that a failed write can be retried without
// losing or repeating a line:
//
//   writer->AddBatch(batch);                 // Compresses into memory.
//   while (!writer->Write().ok()) Wait();    // Same bytes at the same offset.
//   Publish(writer->cursor());               // Covers the written bytes.
//
// This class does not decide when a segment is full (file_name.h) or when to
// write (flusher.h).

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_WRITER_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_WRITER_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_resume.h"
#include "ringlog/compress/segment/zstd_frame.h"

namespace ringlog {

struct SegmentWriterOptions {
  // zstd compression level; may be negative. A level outside zstd's range is
  // replaced by the nearest one. The window has at most 8 MiB. On logs, level 3
  // was slower than level 1 without being smaller.
  int compression_level = 1;
  // Text bytes after which a frame ends, with the batch that reaches them. At
  // most 256 MiB; larger values count as 256 MiB.
  size_t frame_bytes = 1 << 20;
  // Mode of a new file, before the umask.
  mode_t mode = kDefaultSegmentMode;
};

// Thread-compatible. Owns one file descriptor, which is closed on exec and in
// forked children, a zstd context, and the compressed bytes of one batch.
class SegmentWriter {
 public:
  // Records and gaps to add.
  struct Batch {
    // The formatted lines of the records and gaps.
    absl::string_view lines;
    // The positions, times and counts of the records. AddBatch sets text_bytes
    // itself.
    FrameSummary summary;
    // The gaps that are among the lines.
    absl::Span<const Gap> gaps;
  };

  // Maximum length of Batch::lines, in bytes.
  static constexpr size_t kMaxBatchBytes = 512 << 20;

  // Creates and locks the file `name` of a new segment in `directory`. After an
  // error there is no new file, unless it cannot be deleted.
  //   Internal: zstd is out of memory
  //   others:   those of SegmentFile::Create(), with the path
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(
      const Directory& directory, const std::string& name,
      const SegmentIdentity& identity, const SegmentWriterOptions& options);
  // Does the same for the file at `path`. Errors of opening its directory are
  // added.
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(
      const std::string& path, const SegmentIdentity& identity,
      const SegmentWriterOptions& options);

  // Resumes a segment whose process died:
  //  1. Checks that the file has the bytes that `cursor` describes.
  //  2. Truncates the file at cursor.segment_bytes.
  //  3. If a frame is open there, writes its end (an empty last block and the
  //     checksum) and its metadata frame.
  // Afterwards plain zstd tools accept the file, and batches can be added.
  //
  // Guarantees: repeating Reopen with the same cursor gives the same bytes,
  // even if the process died during or after an earlier Reopen. If the check
  // fails, the file is unchanged.
  // Requires: `file` is open for reading and writing, and no other process
  // writes to it.
  //   InvalidArgument: `cursor` does not belong to `identity`
  //   DataLoss:        the file does not match `cursor`, or is damaged before
  //                    cursor.segment_bytes
  //   others:          those of Create, read(2), write(2) and ftruncate(2)
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Reopen(
      SegmentFile file, const SegmentIdentity& identity,
      const SegmentCursor& cursor, const SegmentWriterOptions& options);

  ~SegmentWriter();
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  // Compresses `batch` into memory. The first batch of a segment becomes a
  // frame of its own with its metadata, so that a file that is truncated later
  // still identifies its segment. Does nothing if there are no lines.
  // Requires: Write() has returned OK since the last AddBatch() or AddEnd().
  //   InvalidArgument:    more than kMaxBatchBytes bytes of lines
  //   FailedPrecondition: TruncateToSynced() was called
  //   Internal:           zstd failed
  //   others:             the error of an earlier Sync()
  // After any error but InvalidArgument, no more batches can be added. The
  // written part of the file remains valid.
  absl::Status AddBatch(const Batch& batch);

  // Ends the open frame, if there is one, and adds the seek table, in memory.
  // If the segment has no lines, adds an empty frame first. No AddBatch() may
  // follow. The requirement and the errors are those of AddBatch().
  absl::Status AddEnd();

  // Writes the bytes of the last AddBatch() or AddEnd(). Does nothing if all
  // bytes are written. After an error, which is one of pwrite(2), the caller
  // may retry; Write() has tried to truncate the file to the bytes before it.
  ABSL_MUST_USE_RESULT absl::Status Write();

  // Makes the written bytes durable with fdatasync(2). After an error, no more
  // batches can be added: a retry could succeed although the data is lost.
  absl::Status Sync();

  // Truncates the file to the bytes that the last successful Sync() covered.
  // Afterwards no more batches can be added. After an error, which is one of
  // ftruncate(2), the caller may retry.
  absl::Status TruncateToSynced();
  // Makes TruncateToSynced() durable with fsync(2), so that the truncated bytes
  // do not reappear after machine death. After an error, the caller must not
  // retry.
  absl::Status SyncTruncation();

  // Truncates the bytes that a failed Write() may have left after cursor().
  // Returns OK if there are none. Errors are those of ftruncate(2).
  absl::Status TruncateToCursor();

  // Returns true if the file has been deleted.
  bool is_deleted() const { return file_.IsDeleted(); }
  const SegmentFile& file() const { return file_; }

  // Returns the cursor for the valid bytes of the file, as of the last
  // successful Write(), Reopen() or TruncateToSynced(). The writer does not
  // know segment_open_time_ns, name_salt and reported_drops; they are zero.
  const SegmentCursor& cursor() const { return written_; }

  // Return the size of the written part of the file, and the size of its
  // uncompressed text, both in bytes.
  uint64_t segment_bytes() const { return written_.segment_bytes; }
  uint64_t text_bytes() const { return written_text_bytes_; }
  const std::string& path() const { return file_.path(); }

 private:
  SegmentWriter(SegmentFile file, ZstdCompressor context,
                const SegmentIdentity& identity,
                const SegmentWriterOptions& options);
  // Continues at `cursor` and adds the end of the open frame to pending_.
  void ResumeAfter(const SegmentCursor& cursor, ResumeState state);

  bool frame_is_open() const {
    return next_.frame_offset != next_.segment_bytes;
  }
  void AddToPending(absl::string_view bytes);
  // Compresses `text` into pending_ as one block, or more if it is long, and
  // ends the frame if `end_frame`.
  absl::Status Compress(absl::string_view text, bool end_frame);
  // Compresses `lines` with block boundaries between records.
  absl::Status CompressBatch(absl::string_view lines, bool end_frame);
  // Adds the metadata frame of a frame whose last bytes are in pending_, and
  // begins a new frame.
  void AddMetadata();

  SegmentFile file_;
  const size_t frame_bytes_;
  const bool is_recovered_;
  ZstdCompressor context_;
  absl::Status context_status_;

  // Cursor and text bytes of the written part of the file, of its part that is
  // covered by Sync(), and of the file after pending_ has been written.
  SegmentCursor written_;
  SegmentCursor synced_;
  SegmentCursor next_;
  uint64_t written_text_bytes_ = 0;
  uint64_t synced_text_bytes_ = 0;
  uint64_t next_text_bytes_ = 0;
  // Buffer whose first pending_bytes_ bytes are not written yet.
  std::vector<char> pending_;
  size_t pending_bytes_ = 0;

  // Metadata of the open frame at next_. AddMetadata() sets the checksum.
  FrameMetadata frame_;
  // Seek table entries of the frames before next_.
  std::vector<SeekEntry> seek_entries_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_WRITER_H_
