// The fuzz entry of the parsers of a ring file. The input is the file.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_RING_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_RING_H_

#include <cstddef>
#include <cstdint>

namespace ringlog {

// Dies if a guarantee of ring/ring_header.h or ring/recovery.h is violated,
// otherwise returns 0.
int FuzzRing(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_RING_H_
