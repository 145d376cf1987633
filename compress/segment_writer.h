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
//   writer->AddBatch(batch);                  // compresses into memory
//   while (!writer->Write().ok()) Wait();     // writes at the same offset
//   again, for as long as it takes Publish(writer->cursor());                //
//   says how far the file is good
//
// Thread-compatible. Holds one file descriptor (close-on-exec), a zstd context,
// and the bytes of one batch.

#ifndef RINGLOG_COMPRESS_SEGMENT_WRITER_H_
#define RINGLOG_COMPRESS_SEGMENT_WRITER_H_

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
#include "ringlog/compress/segment_format.h"

struct ZSTD_CCtx_s;

namespace ringlog {

// Which segment it is. Goes into every metadata frame.
struct SegmentIdentity {
  RingId ring_id = {};
  uint64_t number = 1;
  LineFormat format = LineFormat::kText;
};

struct SegmentWriterOptions {
  int compression_level = 1;  // 1 was as small as 3 on logs, and faster
  size_t frame_bytes =
      1 << 20;  // of text; a frame ends with the batch that reaches it
};

class SegmentWriter {
 public:
  // Lines, and what they are. `gaps` are those among the lines.
  struct Batch {
    absl::string_view lines;
    FrameSummary summary;
    absl::Span<const Gap> gaps;
  };

  // Creates the file. AlreadyExists if the name is taken; other errors are
  // those of open(2), with the path.
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(
      const std::string& path, const SegmentIdentity& identity,
      const SegmentWriterOptions& options);

  // Goes on with a segment whose process died: cuts the file at
  // cursor.segment_bytes, gives the frame that is open there its end (an empty
  // last block and the checksum) and its metadata frame. The file is then what
  // a plain zstd tool accepts, and more batches can be added. May be done again
  // with the same cursor after it, or what followed, was cut short: the result
  // is the same.
  //   NotFound: no such file. DataLoss: the file is not the one that the cursor
  //   speaks of, or is damaged before the cut; it is then left as it was. Other
  //   errors are those of open(2), read(2), write(2) and ftruncate(2).
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Reopen(
      const std::string& path, const SegmentIdentity& identity,
      const SegmentCursor& cursor, const SegmentWriterOptions& options);

  ~SegmentWriter();
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  // Compresses `batch`. The first batch of a segment is a frame of its own, so
  // that a file cut at any later point says whose it is. Requires: Write() has
  // returned OK since the last AddBatch(). Internal: zstd failed.
  absl::Status AddBatch(const Batch& batch);

  // Ends the open frame, if there is one, and adds the seek table. The same
  // requirement. No AddBatch() after it.
  absl::Status AddEnd();

  // Writes what the last Add...() made. On an error the file has been cut back
  // to where it was good, as far as the file system let it, and Write() may be
  // called again. Does nothing if there is nothing to write.
  ABSL_MUST_USE_RESULT absl::Status Write();

  // fdatasync. An error is final for this file: what it failed on may be lost
  // though a second call succeeds.
  absl::Status Sync();

  // How far the file is good: what the last Write() that succeeded left.
  // `reported_drops` is not the writer's and zero.
  SegmentCursor cursor() const;

  // Compressed bytes in the file, and decompressed ones of its lines.
  uint64_t segment_bytes() const { return written_bytes_; }
  uint64_t text_bytes() const { return text_bytes_; }
  const std::string& path() const { return path_; }

 private:
  SegmentWriter(std::string path, int fd, const SegmentIdentity& identity,
                const SegmentWriterOptions& options);
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_WRITER_H_
