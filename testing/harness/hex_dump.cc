#include "ringlog/testing/harness/hex_dump.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ringlog {

std::string HexDump(absl::string_view bytes) {
  constexpr size_t kLineBytes = 16;
  std::string dump;
  for (size_t at = 0; at < bytes.size(); at += kLineBytes) {
    const absl::string_view line = bytes.substr(at, kLineBytes);
    absl::StrAppendFormat(&dump, "    %08x ", at);
    std::string shown;
    for (size_t i = 0; i < kLineBytes; ++i) {
      if (i == kLineBytes / 2) dump += ' ';
      if (i >= line.size()) {
        dump += "   ";
        continue;
      }
      const auto c = static_cast<unsigned char>(line[i]);
      absl::StrAppendFormat(&dump, " %02x", c);
      shown += absl::ascii_isprint(c) ? line[i] : '.';
    }
    absl::StrAppend(&dump, "  |", shown, "|\n");
  }
  return dump;
}

}  // namespace ringlog
