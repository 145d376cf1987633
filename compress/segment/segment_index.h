// What can be used of a segment, and where in the file it is.

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
    uint64_t begin = 0;
    // The frame goes into the new segment as it is, with its metadata. Else it
    // is open, or has lost its metadata, and is made anew from its records.
    bool is_whole = false;
    uint64_t end = 0;  // of its metadata, or without them of the zstd frame
    // Of one that is whole:
    uint64_t metadata_begin = 0;
    uint64_t text_bytes = 0;
    uint64_t first_position = 0;
    uint64_t end_position = 0;
  };

  SegmentIdentity identity;  // from the first metadata frame
  std::vector<Frame> frames;
  std::vector<SkippedRegion> skipped;
  bool is_closed = false;
  // Closed, nothing skipped, and the seek table is right.
  bool is_whole = false;
  // Of the frames that are whole.
  uint64_t records = 0;
  uint64_t gaps = 0;
  uint64_t losses = 0;  // gaps by which acknowledged records are missing
};

// Reads the segment at `path` to its end.
//   NotFound: nothing in it says whose it is
//   others:   those of SegmentReader::Open()
absl::StatusOr<SegmentIndex> BuildSegmentIndex(const std::string& path);

// The entries of the seek table that a frame which is whole, and its metadata,
// have.
void AddSeekEntries(const SegmentIndex::Frame& frame,
                    std::vector<SeekEntry>* entries);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_INDEX_H_
