// The fuzz entry of the recovery of leftover rings. The input is
//
//     ring | segment | bytes of the segment, modulo all bytes before it (4)
//
// The ring file is named as its header requires, or has a fixed name if the
// header is damaged. The segment, unless it is empty, is named as the ring's
// cursor requires, or as the first segment.

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

// Dies if a guarantee of compress/recovery/leftover_recovery.h is violated,
// otherwise returns 0. Works in a directory of its own, in memory if possible,
// because recovery syncs its files. The process that makes the first call
// deletes the directory at its exit.
int FuzzRecover(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_
