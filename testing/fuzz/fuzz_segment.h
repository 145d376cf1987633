// The fuzz entry of the reader of segments. The input is the file.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_SEGMENT_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_SEGMENT_H_

#include <cstddef>
#include <cstdint>

namespace ringlog {

// Dies if a guarantee of compress/segment/segment_reader.h is violated,
// otherwise returns 0. A few bytes can decompress to any amount of text, so it
// reads only the first MiBs of text.
int FuzzSegment(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_SEGMENT_H_
