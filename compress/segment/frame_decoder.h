// FrameDecoder
//
// Decompresses one zstd frame of a file at a time, a piece at a time.

#ifndef RINGLOG_COMPRESS_SEGMENT_FRAME_DECODER_H_
#define RINGLOG_COMPRESS_SEGMENT_FRAME_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/zstd_frame.h"

namespace ringlog {

// Thread-compatible. Uses at most 128 MiB, the largest window that it accepts,
// and two buffers. The file must outlive it.
class FrameDecoder {
 public:
  // Reads `file` as far as `limit`.
  FrameDecoder(const SegmentFile* file, uint64_t limit);
  ~FrameDecoder();
  FrameDecoder(const FrameDecoder&) = delete;
  FrameDecoder& operator=(const FrameDecoder&) = delete;

  // Goes to the frame at `offset`.
  void Begin(uint64_t offset);

  enum class Result {
    kMore,     // the frame goes on
    kEnd,      // that was all of it; its checksum fits, if it has one
    kCut,      // the limit came before its end
    kDamaged,  // error() says why
  };
  // Appends what follows to `text`, until that has `max_bytes` or a little
  // more. Whatever the result, what a whole block holds is there; it is not
  // verified before kEnd.
  Result Decode(size_t max_bytes, std::string* text);

  // Behind what has been decoded. After kEnd: where the frame ends.
  uint64_t offset() const { return read_offset_ - (in_size_ - in_pos_); }
  const std::string& error() const { return error_; }

 private:
  bool Read();

  const SegmentFile* const file_;
  const uint64_t limit_;
  ZstdDecompressor context_;
  uint64_t read_offset_ = 0;  // of the file, behind what is in `in_`
  std::string in_;
  size_t in_size_ = 0;
  size_t in_pos_ = 0;
  // Not the end of `text`: that would be zeroed first, which for a short frame
  // takes longer than the frame.
  std::string out_;
  std::string error_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_FRAME_DECODER_H_
