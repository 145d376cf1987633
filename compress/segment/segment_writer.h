// SegmentWriter
//
// Writes one segment: lines into zstd frames, a metadata frame after each, a
// seek table at the end. compress/FORMAT.md is the format. What it is not: it
// does not decide when a segment is full (rotation.h), nor when to write
// (flusher.h).
//
// A batch becomes part of the file in two steps, so that a write that fails can
// be tried again without a line lost or twice:
//
//   writer->AddBatch(batch);                 // compresses into memory
//   while (!writer->Write().ok()) Wait();    // at the same offset each time
//   Publish(writer->cursor());               // says how far the file is good
//
// Thread-compatible. Holds one file descriptor (close-on-exec), a zstd context,
// and the bytes of one batch.

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

struct ZSTD_CCtx_s;

namespace ringlog {

struct SegmentWriterOptions {
  // 1 was as small as 3 on logs, and faster. zstd's levels, negative ones too;
  // what is beyond them is the nearest of them.
  int compression_level = 1;
  // Of text; a frame ends with the batch that reaches it. At most 256 MiB.
  size_t frame_bytes = 1 << 20;
  // Of a file that is created.
  mode_t mode = kDefaultSegmentMode;
};

class SegmentWriter {
 public:
  // Lines, and what they are. `gaps` are those among the lines.
  struct Batch {
    absl::string_view lines;
    FrameSummary summary;
    absl::Span<const Gap> gaps;
  };

  // A batch's lines may not be longer.
  static constexpr size_t kMaxBatchBytes = 512 << 20;

  // Creates the file.
  //   AlreadyExists: the name is taken
  //   Internal:      zstd has no memory
  //   others:        those of open(2), with the path
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(
      const std::string& path, const SegmentIdentity& identity,
      const SegmentWriterOptions& options);

  // Goes on with a segment whose process died: cuts the file at
  // cursor.segment_bytes, gives the frame that is open there its end (an empty
  // last block and the checksum) and its metadata frame. The file is then what
  // a plain zstd tool accepts, and more batches can be added. May be done again
  // with the same cursor after it, or what followed, was cut short: the result
  // is the same, byte for byte.
  //   NotFound:        no such file
  //   InvalidArgument: `cursor` is not one of `identity`
  //   DataLoss:        the file is not the one that the cursor speaks of, or is
  //                    damaged before the cut; it is then left as it was
  //   others:          those of Create, and of read(2), write(2) and
  //                    ftruncate(2)
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Reopen(
      const std::string& path, const SegmentIdentity& identity,
      const SegmentCursor& cursor, const SegmentWriterOptions& options);

  ~SegmentWriter();
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  // Compresses `batch`. The first batch of a segment is a frame of its own, so
  // that a file cut at any later point says whose it is. Does nothing if there
  // are no lines. Requires: Write() has returned OK since the last Add...().
  //   InvalidArgument: more than kMaxBatchBytes
  //   Internal:        zstd failed; nothing more can be added, but what has
  //                    been written is good
  absl::Status AddBatch(const Batch& batch);

  // Ends the open frame, if there is one, and adds the seek table. A segment
  // without lines gets an empty frame first. The same requirement and errors.
  // No AddBatch() after it.
  absl::Status AddEnd();

  // Writes what the last Add...() made. On an error the file has been cut back
  // to where it was good, as far as the file system let it, and Write() may be
  // called again. Does nothing if there is nothing to write.
  ABSL_MUST_USE_RESULT absl::Status Write();

  // fdatasync. An error is final for this file, for what it failed on may be
  // lost though a second call succeeds: nothing more can be added.
  absl::Status Sync();

  // Cuts the file back to what was on the disk at the last Sync(). Nothing more
  // can be added; may be called again after an error, which is one of
  // ftruncate(2).
  absl::Status CutBack();
  // fsync, after CutBack(), so that what was cut off does not come back when
  // the machine dies. Not to be tried again either.
  absl::Status SyncCut();

  // Cuts off what a Write() that failed may have left behind cursor(). OK if
  // there is nothing. Errors are those of ftruncate(2).
  absl::Status CutToCursor();

  // Whether the file has been deleted by somebody.
  bool is_deleted() const { return file_.IsDeleted(); }

  // How far the file is good: what the last Write() or CutBack() that succeeded
  // left. The fields that the writer does not know, segment_open_time_ns and
  // reported_drops, are zero.
  const SegmentCursor& cursor() const { return written_; }

  // Compressed bytes in the file, and decompressed ones of its lines.
  uint64_t segment_bytes() const { return written_.segment_bytes; }
  uint64_t text_bytes() const { return written_text_bytes_; }
  const std::string& path() const { return file_.path(); }

 private:
  struct FreeContext {
    void operator()(ZSTD_CCtx_s* context) const;
  };

  SegmentWriter(SegmentFile file, const SegmentIdentity& identity,
                const SegmentWriterOptions& options);
  absl::Status PrepareContext(int compression_level);
  void ResumeAfter(const SegmentCursor& cursor, SegmentTail tail);

  bool frame_is_open() const {
    return next_.frame_offset != next_.segment_bytes;
  }
  void AddToPending(absl::string_view bytes);
  absl::Status Compress(absl::string_view text, bool end_frame);
  absl::Status CompressBatch(absl::string_view lines, bool end_frame);
  // Once the frame's last bytes are in pending_.
  void FinishFrame();

  SegmentFile file_;
  const size_t frame_bytes_;
  const bool is_recovered_;
  std::unique_ptr<ZSTD_CCtx_s, FreeContext> context_;
  absl::Status context_status_;

  // What the file holds, what of it is on the disk, and what it holds once
  // pending_ has been written.
  SegmentCursor written_;
  SegmentCursor synced_;
  SegmentCursor next_;
  uint64_t written_text_bytes_ = 0;
  uint64_t synced_text_bytes_ = 0;
  uint64_t next_text_bytes_ = 0;
  std::vector<char> pending_;  // the first pending_bytes_ count
  size_t pending_bytes_ = 0;

  // As of next_.
  FrameMetadata frame_;  // of the open frame, but for what its end decides
  std::vector<SeekEntry> seek_entries_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_WRITER_H_
