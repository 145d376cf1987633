// The command `ringlog cat`.

#ifndef RINGLOG_TOOLS_COMMAND_CAT_H_
#define RINGLOG_TOOLS_COMMAND_CAT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "ringlog/compress/line/line_format.h"

namespace ringlog {

struct CatOptions {
  LineFormat format = LineFormat::kText;
  // Prints only this number of last records. 0: all records.
  size_t last = 0;
};
// Maximum of CatOptions::last. The records are kept in memory.
inline constexpr size_t kMaxLast = 1000000;

// Prints the records of the rings, segments and directories `paths` on standard
// output, and gaps, damage and unusable inputs on standard error. With `last`,
// keeps at most 256 MiB of records in memory; if the records need more, prints
// fewer and reports that. Keeps the records of rings in use in memory, or in a
// file in TMPDIR (/tmp by default) if they need more than 8 MiB.
//
// Returns the exit status:
//   0: complete
//   1: records are missing, a file is damaged, or `last` was not reached
//      because of the memory limit
//   2: an input is unusable, or standard output cannot be written
int Cat(const std::vector<std::string>& paths, const CatOptions& options);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_CAT_H_
