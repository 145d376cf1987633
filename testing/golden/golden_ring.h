// The golden ring, and the identity that it shares with the ring of the killed
// golden process.

#ifndef RINGLOG_TESTING_GOLDEN_GOLDEN_RING_H_
#define RINGLOG_TESTING_GOLDEN_GOLDEN_RING_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/testing/golden/golden_file.h"

namespace ringlog {

// Returns the id of the golden ring: the bytes 0 to 15.
RingId GoldenRingId();

// Returns `ring` with the identity of the golden process: ring id, machine,
// process and times. Repairs the checksums.
std::string AsGolden(std::string ring);

// Returns the head of a golden record; valid until the next call.
absl::string_view GoldenHead(int number, absl::string_view text);

// Returns a ring of 64 slots. It has wrapped, and its positions exceed 2^32. It
// has a cursor, drops, and
//   - records of one slot and of several, and a truncated one,
//   - unfinished records of one slot and of several,
//   - an abandoned and a skipped slot.
GoldenFile GoldenRing();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_GOLDEN_GOLDEN_RING_H_
