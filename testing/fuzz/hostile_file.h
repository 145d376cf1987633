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
  uint8_t owner = 0;    // odd: another user, if this process may do that
  // A regular file has a hole of 2^hole_bits bytes, from 4 KiB to 1 TiB, before
  // page `hole_page` of its content. Greater values make the file as long as
  // its bytes 48 to 56 say, where a ring has its size; smaller ones, no hole.
  uint8_t hole_bits = 0;
  uint16_t hole_page = 0;
};
static_assert(sizeof(HostileFile) == 8,
              "inputs of the corpus have that layout");

// What hostile files are made of.
struct HostileSurroundings {
  std::string directory;
  std::vector<std::string> names;
  std::vector<absl::string_view> contents;
  // Files outside of the directory or of other processes, for links.
  std::vector<std::string> link_targets;
};

// Creates the file, unless its name is taken; the directory counts as sticky.
// Returns true if recovery, which checks the owner and the mode, must not take
// the file for one of its own user's: then it must neither change nor use it.
bool MakeHostileFile(const HostileFile& file,
                     const HostileSurroundings& surroundings);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_HOSTILE_FILE_H_
