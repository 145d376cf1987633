// The golden ring, and what the ring of the golden process that was killed
// shares with it.

#ifndef RINGLOG_TESTING_GOLDEN_GOLDEN_RING_H_
#define RINGLOG_TESTING_GOLDEN_GOLDEN_RING_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/testing/golden/golden_file.h"

namespace ringlog {

// The bytes 0 to 15.
RingId GoldenRingId();

// `ring` as if it were of the golden process: its id and those of its machine
// and process, and times, with the checksums that go with them.
std::string AsGolden(std::string ring);

// The head of a golden record; valid until the next call.
absl::string_view GoldenHead(int number, absl::string_view text);

// 64 slots. It has wrapped, and gone past position 2^32; it has records of one
// slot and of several, one that was cut, one being written of each kind, one
// that was given up, one that was skipped, a cursor, and drops.
GoldenFile GoldenRing();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_GOLDEN_GOLDEN_RING_H_
