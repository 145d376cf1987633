// The fuzz entry of a log directory into which other users have put files. The
// input is
//
//     ring | segment | bytes of the segment (4) | step (1)
//         | files (8 each) | number of files (1)
//
// The beginning, up to and including the bytes of the segment, is an input of
// FuzzRecover(). `step` is the number of steps of TwoSegmentScript() that a
// process made before it died. Each file is a HostileFile. Each number is taken
// modulo the number of its possible values.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_DIRECTORY_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/testing/fuzz/hostile_file.h"

namespace ringlog {

// The parts of an input.
struct DirectoryInput {
  absl::string_view recover_input;
  uint8_t step = 0;
  std::vector<HostileFile> files;
};
DirectoryInput SplitDirectoryInput(absl::string_view input);
std::string JoinDirectoryInput(const DirectoryInput& input);

// Makes the files next to those of a dead process and of a live one. Then
// recovers the directory, enforces limits in it, and decodes it. Dies if an
// invariant at the beginning of the .cc file is violated, otherwise returns 0.
// Works in a FuzzPlace of its own.
int FuzzDirectory(const uint8_t* data, size_t size);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_DIRECTORY_H_
