// SegmentReader
//
// Reads one segment that is closed, still being written, truncated or damaged.
// Returns single records, or many records of a frame at once, and the metadata
// frame of each frame after its records.
//
//   auto reader = ringlog::SegmentReader::Open(path);
//   if (!reader.ok()) return reader.status();
//   absl::string_view lines;
//   SegmentReader::Result result;
//   while ((result = (*reader)->Next(&lines)) != SegmentReader::Result::kEnd) {
//     if (result == SegmentReader::Result::kRecord) Print(lines);
//   }
//   for (const SkippedRegion& region : (*reader)->skipped()) Report(region);
//
// Guarantees:
// - The records of a complete frame are delivered only if its checksum matches.
// - Damage costs the frame that it is in. It also costs an open frame after it,
//   unless the metadata frame between the two is intact or has kept its length.
// - Message bytes are never taken for frames, even if an attacker chose them,
//   unless the attacker knows the ring id. After damage, the reader resumes
//   only at a metadata frame of the same segment.
// - Of a truncated or open frame, every record in complete blocks is delivered.
//   The last record may lack lines if it is longer than a block. No checksum
//   covers these records: see SkippedRegion::unverified_begin.
// - A frame that was delivered before is skipped, so that a frame written twice
//   is read once.
// - Zeros at the end of the file count as its end. A file system may have
//   allocated them. A hole elsewhere is damage, which is skipped and not read.
// - Memory is bounded for every file: a window of 8 MiB, and a frame or a
//   record of kMaxWholeBytes. A frame with more text is delivered in pieces
//   before its checksum is verified. Segments have no such frames.
// - Time is proportional to the size of the file's data, without its holes, and
//   of its text. If an attacker made a file that would take longer, the rest of
//   it is a skipped region.
//
// Does not guarantee:
// - that records of an open frame are those that were written; no checksum
//   exists yet
// - that frames in messages are ignored if no metadata frame identifies the
//   segment, because the first frame and its metadata frame are damaged or
//   truncated
//
// The file is read with pread(2). It is never mapped and never changed.
//
// Thread-compatible.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_READER_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/frame_decoder.h"
#include "ringlog/compress/segment/frame_search.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/skipped_region.h"

namespace ringlog {

inline constexpr uint64_t kWholeFile = ~uint64_t{0};

// Bytes of text. A longer frame or record is delivered in pieces of at least
// this size.
inline constexpr size_t kMaxWholeBytes = 4 << 20;

class SegmentReader {
 public:
  // Opens the file at `path`. Reads at most its first `limit_bytes`, and
  // nothing that is written after Open(). If the segment's ring is available,
  // its cursor has the limit.
  //   InvalidArgument: the file is empty or not a zstd file
  //   others:          those of open(2) and pread(2), with the path
  static absl::StatusOr<std::unique_ptr<SegmentReader>> Open(
      const std::string& path, uint64_t limit_bytes = kWholeFile);
  // Reads an open file in the same way.
  static absl::StatusOr<std::unique_ptr<SegmentReader>> Open(
      SegmentFile file, uint64_t limit_bytes = kWholeFile);

  ~SegmentReader();
  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;

  enum class Result {
    kRecord,    // `*lines` is the next record, or the next records, with line
                // breaks. Valid until the next call.
    kMetadata,  // The frame before is complete. metadata() describes it.
    kEnd,       // The end of the file, or the limit.
  };
  // Reads frames with windows of up to 128 MiB; see FrameDecoder. Requires:
  // Next() was not called.
  void PermitLargeWindows() {
    permits_large_windows_ = true;
    decoder_.PermitLargeWindows();
  }

  // Returns the next record, a metadata frame, or the end.
  Result Next(absl::string_view* lines);
  // Like Next(), but returns all records of the frame that are in memory, in
  // most cases all records of the frame. For callers that copy records without
  // parsing them.
  Result NextRecords(absl::string_view* lines);

  // Returns the last metadata frame. Requires: Next() has returned kMetadata.
  const FrameMetadata& metadata() const { return metadata_; }

  // Returns the file offset at which the frame of the last records, or the last
  // metadata frame, begins.
  uint64_t frame_begin() const { return frame_begin_; }
  // Returns the file offset of the end of that frame, once its last records
  // have been returned.
  uint64_t offset() const { return offset_; }

  // Returns the format of the lines: that of the first metadata frame. If the
  // file has none, the first byte of text decides, once it has been read.
  LineFormat format() const { return format_.value_or(LineFormat::kText); }

  // Returns the first metadata frame, which Open() has read. Returns nullptr if
  // the file is truncated before it, or not a segment.
  const FrameMetadata* first_metadata() const {
    return first_metadata_.has_value() ? &*first_metadata_ : nullptr;
  }

  // Returns true once the seek table has been read. The segment was closed
  // then, so that no frame is missing at its end.
  bool is_closed() const { return is_closed_; }

  // Returns the regions skipped so far, in order and without overlap: at most
  // kMaxSkippedRegions, and one more with is_truncated. The last region may
  // still change before the end.
  const std::vector<SkippedRegion>& skipped() const {
    return skipped_.regions();
  }

  // Returns the first error of pread(2), if there was one. Bytes that could not
  // be read are skipped() like damaged bytes, but may be intact.
  const absl::Status& read_status() const { return file_.read_status(); }

 private:
  SegmentReader(SegmentFile file, uint64_t limit);

  Result NextLines(bool all, absl::string_view* lines);
  std::optional<Result> Advance();
  void BeginFrame();
  void ContinueFrame();
  void EndFrame();
  bool IsNew(const FrameMetadata& metadata);
  bool IsEndOfFrame(uint64_t offset) const;
  void EndTruncatedFrame();
  bool EndFrameAtZeros();
  uint64_t ZerosAtEnd();
  void TruncateAt(uint64_t offset);
  // Skips the frame at frame_begin_ because of `why`. Continues at the next
  // frame that is found, otherwise at `next`.
  void FailFrame(absl::string_view why, uint64_t next = kWholeFile);
  std::optional<Result> ReadSkippable(uint32_t magic);
  void SkipSkippable(uint32_t magic);
  uint64_t EndOfDamagedMetadata() const;
  std::optional<Result> TakeMetadata(const FrameMetadata& metadata,
                                     uint64_t end);

  SegmentFile file_;
  const uint64_t limit_;
  FrameDecoder decoder_;
  bool permits_large_windows_ = false;
  FrameSearch search_;
  uint64_t offset_ = 0;  // File offset of the first byte not yet read.

  // The current frame.
  uint64_t frame_begin_ = 0;
  bool in_zstd_frame_ = false;  // True if decoder_ has begun the frame.
  bool in_frame_ = false;       // True if the frame has more text than text_.
  // True if records of the frame were delivered before its end.
  bool has_early_records_ = false;
  // True if the frame has ended without a content checksum.
  bool lacks_checksum_ = false;
  std::string text_;
  size_t text_begin_ = 0;  // Begin of the text not yet delivered.

  // True if a frame of the segment has ended and its metadata frame has not
  // been read.
  bool lacks_metadata_ = false;
  // First position and checksum of the first kMaxKnownFrames frames that were
  // delivered.
  std::set<std::pair<uint64_t, uint32_t>> known_frames_;
  // Offset of the zeros that the file ends with, once it is known.
  std::optional<uint64_t> zeros_at_end_;

  FrameMetadata metadata_;
  std::optional<FrameMetadata> first_metadata_;
  std::optional<LineFormat> format_;
  bool is_closed_ = false;
  SkippedRegions skipped_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_READER_H_
