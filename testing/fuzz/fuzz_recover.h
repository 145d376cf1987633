// The fuzz entry of the recovery of leftover rings. The input is
//
//     ring | segment | bytes of the segment, modulo all bytes before it (4)
//
// Both files have the names of RecoverNamesFor(). If the part `segment` is
// empty, no segment is created.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// The two parts of an input.
struct RecoverInput {
  absl::string_view ring;
  absl::string_view segment;
};
RecoverInput SplitRecoverInput(absl::string_view input);
std::string JoinRecoverInput(absl::string_view ring, absl::string_view segment);

// Names of the two files.
struct RecoverNames {
  // The name according to the ring's header; a fixed name if it is damaged.
  std::string ring;
  // The name according to the ring's cursor, or the name of the first segment.
  std::string segment;
};
RecoverNames RecoverNamesFor(absl::string_view ring);

// Dies if a guarantee of compress/recovery/leftover_recovery.h is violated,
// otherwise returns 0. Works in a FuzzPlace of its own.
int FuzzRecover(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_
