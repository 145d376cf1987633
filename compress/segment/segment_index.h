// The usable parts of a segment that may be damaged or not closed, and their
// offsets in the file. Repair writes a new segment from them
// (segment_repair.h).
//
// The functions are thread-safe.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_INDEX_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_INDEX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"

namespace ringlog {

struct SegmentIndex {
  struct Frame {
    // Offset of the zstd frame in the file, in bytes.
    uint64_t begin = 0;
    // True if the frame and its metadata frame are intact; repair copies them.
    // Otherwise the frame is open or has no intact metadata frame; repair
    // writes a new frame from its records.
    bool is_intact = false;
    // Offset of the end of the metadata frame, or of the zstd frame if it is
    // not intact.
    uint64_t end = 0;
    // The fields below are valid only if is_intact.
    uint64_t metadata_begin = 0;
    uint64_t text_bytes = 0;
    uint64_t first_position = 0;
    uint64_t end_position = 0;
  };

  // Identity from the first metadata frame.
  SegmentIdentity identity;
  // Frames with records, in the order of the file.
  std::vector<Frame> frames;
  // Damaged regions, and the end of a truncated file.
  std::vector<SkippedRegion> skipped;
  // True if the segment has a seek table at its end.
  bool is_closed = false;
  // True if the segment is closed, no region was skipped, and the seek table
  // matches the frames.
  bool is_intact = false;
  // Numbers of records and gaps, from the metadata of the intact frames.
  uint64_t records = 0;
  uint64_t gaps = 0;
  // Number of gaps in the metadata for which IsLoss() is true. Gaps after the
  // first kMaxFrameGaps of a frame are not listed there, and do not count.
  uint64_t losses = 0;
};

// Reads the segment at `path` to its end.
//   NotFound: no intact metadata frame identifies the segment
//   others:   those of SegmentReader::Open(), open(2) and read(2)
absl::StatusOr<SegmentIndex> BuildSegmentIndex(const std::string& path);

// Appends the seek table entries of an intact frame and its metadata frame.
void AddSeekEntries(const SegmentIndex::Frame& frame,
                    std::vector<SeekEntry>* entries);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_INDEX_H_
