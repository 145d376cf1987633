// Where the segments of a ring end and the ring itself begins.

#ifndef RINGLOG_TOOLS_DECODE_BOUNDARY_H_
#define RINGLOG_TOOLS_DECODE_BOUNDARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {

struct Boundary {
  RecoverFrom from = RecoverFrom::kCursor;
  // Positions below it are in the segments, or were, whatever the ring says.
  uint64_t first_position = 0;
  bool overlaps = false;
  bool any_segment = true;  // false: what segments there are do not count
  uint64_t last_number = ~uint64_t{0};  // segments of a higher one do not count
  uint64_t last_bytes = kWholeFile;     // of the last one, that many count
  // Begin of the frame that is open there, if the cursor's checksum fits it.
  uint64_t open_frame_begin = kWholeFile;
  uint64_t last_end_position = 0;  // where they end; 0 if it is not known
  DropCounts reported_drops = {};
};

// A ring names its segments before they exist. So if one is there when the ring
// is read, a ring without a cursor has lost it.
bool HidesSegments(const RingImage& image,
                   const std::vector<FoundSegment>& segments);

// By the ring's persist cursor; of a machine that has died since, also by what
// the segments prove (compress/FORMAT.md). `segments` are the ring's. Reports
// what is damaged of the two.
Boundary FindBoundary(const std::string& ring_path, const RingImage& image,
                      const std::vector<FoundSegment>& segments,
                      Report* report);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_BOUNDARY_H_
