// Bytes as format pages show them.

#ifndef RINGLOG_TESTING_HARNESS_HEX_DUMP_H_
#define RINGLOG_TESTING_HARNESS_HEX_DUMP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// As `hexdump -C` prints them, without its last line, and each line indented by
// four: a block of code in Markdown.
std::string HexDump(absl::string_view bytes);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_HEX_DUMP_H_
