// The fuzz entry for what reads a segment: the input is the file.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_SEGMENT_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_SEGMENT_H_

#include <cstddef>
#include <cstdint>

namespace ringlog {

// Dies if a promise of compress/segment_reader.h is broken; else returns 0. A
// few bytes can be of any amount of text, of which only the first MiBs are
// read.
int FuzzSegment(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_SEGMENT_H_
