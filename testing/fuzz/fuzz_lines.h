// The fuzz entry of the parser of segment lines. The lowest bit of the first
// byte selects the format: 0 text, 1 JSON. The lines follow.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_LINES_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_LINES_H_

#include <cstddef>
#include <cstdint>

namespace ringlog {

// Dies if a guarantee of compress/line/line_format.h is violated, otherwise
// returns 0.
int FuzzLines(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_LINES_H_
