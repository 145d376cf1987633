// The places of the integers in rings and segments, for changes of several
// fields at once. Written from ring/FORMAT.md and compress/FORMAT.md; shares no
// code with the product.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_FIELDS_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_FIELDS_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace ringlog {

// A little-endian integer of 1, 2, 4 or 8 bytes. Fields may overlap.
struct FuzzField {
  size_t offset = 0;
  size_t bytes = 0;
};

// Returns fields of both headers, of the live part with its cursors, of the
// crash area, and of up to eight slots, at the places that the header at offset
// 0 states. All are inside `ring`.
std::vector<FuzzField> RingFields(absl::string_view ring);

// Returns fields of everything in `segment` that begins like a metadata frame
// or like the header of a zstd frame. All are inside `segment`.
std::vector<FuzzField> SegmentFields(absl::string_view segment);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_FIELDS_H_
