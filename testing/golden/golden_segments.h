// The golden segments.

#ifndef RINGLOG_TESTING_GOLDEN_GOLDEN_SEGMENTS_H_
#define RINGLOG_TESTING_GOLDEN_GOLDEN_SEGMENTS_H_

#include <vector>

#include "ringlog/testing/golden/golden_file.h"

namespace ringlog {

// Returns a closed segment of ten frames, with a gap of each cause and texts
// with special bytes.
GoldenFile GoldenText();

// Returns the same records and gaps as JSON.
GoldenFile GoldenJson();

// Returns the files of a killed process: a ring whose cursor is inside the open
// frame of the segment, and the segment, which has bytes after the cursor.
// Their names are those that recovery expects. `expected` is the log after a
// recovery of both.
std::vector<GoldenFile> GoldenKilled();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_GOLDEN_GOLDEN_SEGMENTS_H_
