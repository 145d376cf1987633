// Collects the facts about found segments for DecideResumePoint().

#ifndef RINGLOG_TOOLS_DECODE_SEGMENT_FACTS_H_
#define RINGLOG_TOOLS_DECODE_SEGMENT_FACTS_H_

#include <vector>

#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/found_segment.h"

namespace ringlog {

// Returns one SegmentFacts for each of `segments`, which belong to the ring
// with `header` and are sorted by number. Scans those from which `ring` may
// need proof, and checks the cursor's open frame.
std::vector<SegmentFacts> ReadSegmentFacts(
    const RingHeader& header, const RingFacts& ring,
    const std::vector<FoundSegment>& segments);

// Returns the facts that InspectSegment() found. Reads nothing; enough for
// CursorWasLost().
std::vector<SegmentFacts> KnownSegmentFacts(
    const std::vector<FoundSegment>& segments);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_SEGMENT_FACTS_H_
