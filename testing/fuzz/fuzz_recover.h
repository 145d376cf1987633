// The fuzz entry for recovery of leftover rings. The input is
//
//     ring | segment | length of the segment, modulo all bytes before it (4)
//
// The ring gets the name that its header asks for, or some ring's name if that
// is damaged; the segment, if it is not empty, the name that the ring's cursor
// asks for, or that of the first segment.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

struct RecoverInput {
  absl::string_view ring;
  absl::string_view segment;
};
RecoverInput SplitRecoverInput(absl::string_view input);
std::string JoinRecoverInput(absl::string_view ring, absl::string_view segment);

// Dies if a promise of compress/leftover.h is broken; else returns 0. Works in
// a directory of its own, in memory if there is such a file system: recovery
// waits for the disk. The process that called it first removes it when it
// exits.
int FuzzRecover(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_RECOVER_H_
