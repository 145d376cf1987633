// The fuzz entry of the recovery of leftover rings. The input is
//
//     ring | segment | bytes of the segment, modulo all bytes before it (4)
//
// Both files have the names of RecoverNamesFor(). There is no segment if it is
// empty.

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
  // As the ring's header requires; a fixed name if the header is damaged.
  std::string ring;
  // As the ring's cursor requires, or that of the first segment.
  std::string segment;
};
RecoverNames RecoverNamesFor(absl::string_view ring);

// Dies if a guarantee of compress/recovery/leftover_recovery.h is violated,
// otherwise returns 0. Works in a FuzzPlace of its own.
int FuzzRecover(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_
