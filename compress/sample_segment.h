// A segment made by SegmentWriter, and beside it what was put in: what the
// tests of its reader compare with.

#ifndef RINGLOG_COMPRESS_SAMPLE_SEGMENT_H_
#define RINGLOG_COMPRESS_SAMPLE_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringlog/compress/line_format.h"

namespace ringlog {

struct SampleSegment {
  // Text that is readable once the file has `end` bytes.
  struct Block {
    uint64_t end = 0;
    std::string text;
  };
  // [begin, end) is the zstd frame, as libzstd finds it; the metadata frame
  // goes on to metadata_end.
  struct Frame {
    uint64_t begin = 0;
    uint64_t end = 0;
    uint64_t metadata_end = 0;
    uint64_t first_position = 0;
    uint64_t end_position = 0;
    std::string text;
    std::vector<Block> blocks;
  };

  std::string bytes;
  std::vector<Frame> frames;
  std::vector<std::string> records;  // the lines of each

  // Of all frames but `lost`.
  std::string TextWithout(size_t lost) const;
  // That can be read of a file that is cut there.
  std::string TextUpTo(uint64_t cut) const;
  std::string text() const { return TextWithout(frames.size()); }
};

// `frame_count` frames, all but the first of three blocks or more, some with a
// gap; each begins with a short record of several lines that zstd cannot
// compress. A frame ends with the batch that has brought it to
// `frame_bytes` of text. The same for the same arguments.
SampleSegment MakeSampleSegment(LineFormat format, size_t frame_count,
                                uint64_t seed, size_t frame_bytes = 700);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SAMPLE_SEGMENT_H_
