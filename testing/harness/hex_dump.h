// Hex dumps in the layout of the format pages.

#ifndef RINGLOG_TESTING_HARNESS_HEX_DUMP_H_
#define RINGLOG_TESTING_HARNESS_HEX_DUMP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// Returns `bytes` in the layout of `hexdump -C`, without its last line. Each
// line is indented by four spaces, which makes a code block in Markdown.
std::string HexDump(absl::string_view bytes);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_HEX_DUMP_H_
