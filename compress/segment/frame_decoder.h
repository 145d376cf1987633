// FrameDecoder
//
// Decompresses zstd frames of a file, one frame at a time, in pieces.

#ifndef RINGLOG_COMPRESS_SEGMENT_FRAME_DECODER_H_
#define RINGLOG_COMPRESS_SEGMENT_FRAME_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/zstd_frame.h"

namespace ringlog {

// Memory: a window of at most 8 MiB, and two buffers; see PermitLargeWindows().
// A frame with a larger window is reported as damaged, so that many files can
// be read at the same time, also those of untrusted users.
//
// Thread-compatible. The file must outlive the decoder.
class FrameDecoder {
 public:
  // Binary logarithm of the bytes of the largest window. zstd has this one at
  // level 19. SegmentWriter makes no larger one, and zstd does so only with
  // --ultra or --long.
  static constexpr int kMaxWindowLog = 23;

  // Reads `file` up to `limit`.
  FrameDecoder(const SegmentFile* file, uint64_t limit);
  ~FrameDecoder();
  FrameDecoder(const FrameDecoder&) = delete;
  FrameDecoder& operator=(const FrameDecoder&) = delete;

  // Decodes frames with windows of up to 128 MiB, as zstd does by default. For
  // a caller that reads one file at a time. Requires: Begin() was not called.
  void PermitLargeWindows();

  // Begins to decode the frame at `offset`.
  void Begin(uint64_t offset);

  enum class Result {
    kMore,       // The frame continues.
    kEnd,        // The frame has ended. Its checksum, if any, matches.
    kTruncated,  // The limit, or a hole up to it, is before the frame's end.
    kDamaged,    // error() has the cause.
  };
  // Appends decompressed text to `*text` until `*text` has `max_bytes`, or up
  // to one buffer more. After every result, `*text` has the text of every
  // complete block that was read. No checksum covers the text before kEnd.
  Result Decode(size_t max_bytes, std::string* text);

  // Returns the offset after the bytes decoded so far. After kEnd, this is the
  // end of the frame.
  uint64_t offset() const { return read_offset_ - (in_size_ - in_pos_); }
  // Returns the cause of kDamaged.
  const std::string& error() const { return error_; }

 private:
  bool Read();

  const SegmentFile* const file_;
  const uint64_t limit_;
  ZstdDecompressor context_;
  uint64_t read_offset_ = 0;  // File offset of the end of `in_`.
  std::string in_;
  size_t in_size_ = 0;
  size_t in_pos_ = 0;
  // Decompressed bytes on their way to `text`. Decompression into `text` itself
  // would have to zero the buffer first, which takes longer than a short frame.
  std::string out_;
  std::string error_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_FRAME_DECODER_H_
