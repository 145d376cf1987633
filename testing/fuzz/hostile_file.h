// A file that another user has put into a log directory, as an input of
// FuzzDirectory() describes it.

#ifndef RINGLOG_TESTING_FUZZ_HOSTILE_FILE_H_
#define RINGLOG_TESTING_FUZZ_HOSTILE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace ringlog {

// Eight bytes of an input. Each value is valid: a table's index is taken modulo
// the table's size.
struct HostileFile {
  uint8_t content = 0;  // index into HostileSurroundings::contents
  uint8_t name = 0;     // index into HostileSurroundings::names
  uint8_t kind = 0;     // regular in half of the cases, a link or a FIFO
  uint8_t mode = 0;     // permission bits
  uint8_t owner = 0;    // odd: another user, if this process may change owners
  // The hole of a regular file, before page `hole_page` of the content:
  //   - 12 to 40: 2^hole_bits bytes
  //   - less: no hole
  //   - more: no hole, but the file has at least the length in its bytes 48 to
  //     55, which is the size in the header of a ring
  uint8_t hole_bits = 0;
  uint16_t hole_page = 0;
};
static_assert(sizeof(HostileFile) == 8,
              "inputs of the corpus have that layout");

// The parts of which hostile files are made.
struct HostileSurroundings {
  std::string directory;
  std::vector<std::string> names;
  std::vector<absl::string_view> contents;
  // Files outside of the directory or of other processes, for links.
  std::vector<std::string> link_targets;
};

// Creates the file if its name is free: the directory counts as sticky. Returns
// true if recovery must not trust the file because of its type, owner or mode.
// Recovery must then neither change nor use the file.
bool MakeHostileFile(const HostileFile& file,
                     const HostileSurroundings& surroundings);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_HOSTILE_FILE_H_
