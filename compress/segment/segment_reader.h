// SegmentReader
//
// Reads one segment, whole, still being written, or cut: record by record, or a
// frame's records at once, with the metadata of each frame after it.
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
// Guarantees: a frame that has its end is delivered if its checksum fits, and
// not at all if it does not: no line is wrong. Damage costs the frame that it
// is in, and an open frame behind it, unless the metadata between the two are
// whole, or damaged but of their length. What a message holds is never taken
// for frames, not by who knows all but the ring's id: behind damage only
// metadata of the same segment tell where a frame is. If the first frame is cut
// or damaged together with its metadata, nothing is known of the segment; then
// what looks like a frame is one, if the search comes to it. Of the frame that
// the file is cut in, or that is still being written, every record whose blocks
// are complete is delivered; what a record of several lines, longer than a
// block, has in the last one may be missing. Memory is bounded, whatever the
// file says of itself: a window of 128 MiB and a frame, or record, of 4 MiB
// (of longer frames, which are not ours, the records come before the checksum).
// Time is in proportion to the file's length and its text's; a file that is
// made to take more is a region from some byte on.
//
// A frame of ours that has been delivered before is a region: what was written
// twice is read once. Zeros that a file ends with, as one may that a
// file system had made room for, are its end.
//
// Does not guarantee: that a block of a frame without an end is what was
// written; its checksum does not exist yet.
//
// The file is read with pread(2), never mapped, and never changed.
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

namespace ringlog {

inline constexpr uint64_t kWholeFile = ~uint64_t{0};

// Of a file that is damaged at more places, the last of so many regions goes on
// to the last of the places; what is whole in it has been delivered.
inline constexpr size_t kMaxSkippedRegions = 1000;

// A longer frame, or record, is delivered in pieces of this size or more.
inline constexpr size_t kMaxWholeBytes = 4 << 20;

// Bytes of the file that could not be used.
struct SkippedRegion {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string why;
  // A file that merely ends early, as every file of a killed process does, is
  // not damaged. The region is then what follows the last whole block, and may
  // be empty.
  bool is_cut = false;
  // Whose records are lost, if what is left of the frame still says so: else
  // both are 0.
  uint64_t first_position = 0;
  uint64_t end_position = 0;
};

// "[begin..end): why"
std::string ToString(const SkippedRegion& region);

class SegmentReader {
 public:
  // Reads only the first `limit_bytes` of the file: for a segment whose ring is
  // at hand, the ring's cursor says how many of them count. What is written to
  // the file after Open() is not read.
  //   InvalidArgument: not a zstd file, or empty
  //   others:          those of open(2) and read(2), with the path
  static absl::StatusOr<std::unique_ptr<SegmentReader>> Open(
      const std::string& path, uint64_t limit_bytes = kWholeFile);

  ~SegmentReader();
  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;

  enum class Result {
    kRecord,    // `lines` is the next record, or the next records, with their
                // line breaks; valid until the next call
    kMetadata,  // the frame of the records before it is complete: metadata() is
                // the frame's
    kEnd,
  };
  // The next record.
  Result Next(absl::string_view* lines);
  // All records up to the next metadata, as far as they are in memory: mostly a
  // whole frame's. For those who copy records without looking at each.
  Result NextRecords(absl::string_view* lines);

  const FrameMetadata& metadata() const { return metadata_; }

  // Where in the file the zstd frame of these records, or this metadata frame,
  // begins; and where that ends, once the records are its last.
  uint64_t frame_begin() const { return frame_begin_; }
  uint64_t offset() const { return offset_; }

  // Of the lines. From the first metadata frame if there is one; of a file
  // without, by its first byte, when that has been read.
  LineFormat format() const { return format_.value_or(LineFormat::kText); }

  // The metadata of the first frame, read ahead by Open(). nullptr if the file
  // is cut before it, or is not ours.
  const FrameMetadata* first_metadata() const {
    return first_metadata_.has_value() ? &*first_metadata_ : nullptr;
  }

  // The seek table has been read: the segment was closed, so that its frames
  // are all there.
  bool is_closed() const { return is_closed_; }

  // So far: in order, none within another, kMaxSkippedRegions and a cut at the
  // most. The last one may still change.
  const std::vector<SkippedRegion>& skipped() const { return skipped_; }

  // The first error of read(2), if there was one. Bytes that could not be read
  // are skipped(), as if they were damaged; only this tells that they may be
  // good.
  const absl::Status& read_status() const { return file_.read_status(); }

 private:
  SegmentReader(SegmentFile file, uint64_t limit);

  Result NextLines(bool all, absl::string_view* lines);
  bool HasText() const { return text_begin_ < text_.size(); }
  std::optional<Result> Advance();
  void BeginFrame();
  void ContinueFrame();
  void EndFrame();
  bool IsNew(const FrameMetadata& metadata);
  void CutFrame();
  bool CutFrameAtZeros();
  uint64_t ZerosAtEnd();
  void CutAt(uint64_t offset);
  // Goes to the next frame that is found, else to `next`.
  void FailFrame(absl::string_view why, uint64_t next = kWholeFile);
  std::optional<Result> ReadSkippable(uint32_t magic);
  void PassSkippable(uint32_t magic);
  uint64_t BehindDamagedMetadata() const;
  std::optional<Result> TakeMetadata(const FrameMetadata& metadata,
                                     uint64_t end);
  void SkipRegion(uint64_t begin, absl::string_view why);

  SegmentFile file_;
  const uint64_t limit_;
  FrameDecoder decoder_;
  FrameSearch search_;
  uint64_t offset_ = 0;  // of what has not been looked at

  // The frame at hand.
  uint64_t frame_begin_ = 0;
  bool in_zstd_frame_ = false;  // decoder_ has been at it
  bool in_frame_ = false;       // there is more of it than text_ has
  bool is_unverified_ = false;  // so long that records went out before its end
  std::string text_;
  size_t text_begin_ = 0;  // of what has not been delivered

  // A frame of ours has ended, and its metadata have not come.
  bool lacks_metadata_ = false;
  // Position and checksum of frames that have been delivered; only the first
  // kMaxKnownFrames.
  std::set<std::pair<uint64_t, uint32_t>> known_frames_;
  std::optional<uint64_t> zeros_at_end_;

  FrameMetadata metadata_;
  std::optional<FrameMetadata> first_metadata_;
  std::optional<LineFormat> format_;
  bool is_closed_ = false;
  std::vector<SkippedRegion> skipped_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_READER_H_
