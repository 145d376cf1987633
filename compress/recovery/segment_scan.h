// What the segments of a ring prove by themselves: their whole frames have
// checksums and metadata. For when the ring's persist cursor cannot be asked,
// or may be older than the segments are.

#ifndef RINGLOG_COMPRESS_RECOVERY_SEGMENT_SCAN_H_
#define RINGLOG_COMPRESS_RECOVERY_SEGMENT_SCAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

struct ScannedSegment {
  std::string path;
  // `number` and `format` as in the file name; `is_recovered` from the first
  // metadata frame, false if there is none.
  SegmentIdentity identity;
  int64_t open_time_ns = 0;  // to the second, as its name says
  // Behind the last frame that is whole, its metadata too, and where that
  // frame's positions end; 0 if there is none.
  uint64_t proven_bytes = 0;
  uint64_t end_position = 0;
  bool is_closed = false;  // it has its seek table
  bool is_whole = false;   // closed, and nothing is in between
  // What its whole frames behind `from` tell of, as their metadata list it.
  DropCounts drops = {};
};

// Reads one segment of the ring with this header. What is no zstd file proves
// nothing.
//   NotFound: no such file, or it is another ring's
//   others:   those of open(2) and read(2)
absl::StatusOr<ScannedSegment> SurveySegment(const RingHeader& header,
                                             const std::string& path,
                                             uint64_t number, uint64_t from);

// Reads the segments in `directory` that are of the ring with this header, from
// `first_number` on; by number.
//   errors are those of opendir(3) and readdir(3), and of SurveySegment(): what
//   could not be read may hold everything
absl::StatusOr<std::vector<ScannedSegment>> ScanSegments(
    const RingHeader& header, const std::string& directory,
    uint64_t first_number, uint64_t from);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_SEGMENT_SCAN_H_
