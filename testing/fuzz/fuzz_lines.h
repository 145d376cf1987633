// The fuzz entry for what reads the lines of a segment. The input's first byte
// says by its lowest bit which format: 0 text, 1 JSON. The lines follow.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_LINES_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_LINES_H_

#include <cstddef>
#include <cstdint>

namespace ringlog {

// Dies if a promise of compress/line_format.h is broken; else returns 0.
int FuzzLines(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_LINES_H_
