// The golden segments.

#ifndef RINGLOG_TESTING_GOLDEN_GOLDEN_SEGMENTS_H_
#define RINGLOG_TESTING_GOLDEN_GOLDEN_SEGMENTS_H_

#include <vector>

#include "ringlog/testing/golden/golden_file.h"

namespace ringlog {

// Ten frames with a gap of every cause and every odd text; closed.
GoldenFile GoldenText();

// The same as JSON.
GoldenFile GoldenJson();

// What a process left that was killed: the ring, whose cursor is in the middle
// of the segment's open frame, and the segment, which goes on behind it. They
// have the names that recovery knows them by. `expected` is what recovery makes
// of the two.
std::vector<GoldenFile> GoldenKilled();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_GOLDEN_GOLDEN_SEGMENTS_H_
