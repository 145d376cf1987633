// `ringlog cat`

#ifndef RINGLOG_TOOLS_COMMAND_CAT_H_
#define RINGLOG_TOOLS_COMMAND_CAT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "ringlog/compress/line/line_format.h"

namespace ringlog {

struct CatOptions {
  LineFormat format = LineFormat::kText;
  size_t last = 0;  // only that many records, the last; 0: all
};
// What `last` may be at the most: they are kept in memory.
inline constexpr size_t kMaxLast = 1000000;

// Prints the records of `paths` on standard output, and what is missing on
// standard error. Returns the exit status.
int Cat(const std::vector<std::string>& paths, const CatOptions& options);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_CAT_H_
