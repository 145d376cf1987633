#include "ringlog/testing/fuzz/json_oracle.h"

#include <cstddef>
#include <cstdint>

#include "absl/log/check.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace ringlog {
namespace {

// Returns the length of the UTF-8 character at the beginning of `text`, or 0 if
// there is none (RFC 3629).
size_t CharacterLength(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  if (byte(0) < 0x80) return 1;
  const size_t length = byte(0) >= 0xf0   ? 4
                        : byte(0) >= 0xe0 ? 3
                        : byte(0) >= 0xc2 ? 2
                                          : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned begin = byte(0) << 8 | byte(1);
  const bool is_overlong = (begin >= 0xe080 && begin < 0xe0a0) ||
                           (begin >= 0xf080 && begin < 0xf090);
  const bool is_surrogate = begin >= 0xeda0 && begin <= 0xedbf;
  return is_overlong || is_surrogate || begin >= 0xf490 ? 0 : length;
}

// Returns true if the line is an object from its first to its last byte.
bool IsObject(absl::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size();) {
    const size_t length = CharacterLength(line.substr(i));
    if (length == 0 || static_cast<uint8_t>(line[i]) < 0x20) return false;
    const char c = line[i];
    if (in_string && c == '\\') {
      i += 2;
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (!in_string && c == '{') ++depth;
    if (!in_string && c == '}') --depth;
    i += length;
    if (depth == 0) return i == line.size() && c == '}';
  }
  return false;
}

}  // namespace

void CheckJsonLines(absl::string_view lines) {
  CHECK(absl::ConsumeSuffix(&lines, "\n")) << absl::CHexEscape(lines);
  for (const absl::string_view line : absl::StrSplit(lines, '\n')) {
    CHECK(!line.empty() && line[0] == '{' && IsObject(line))
        << absl::CHexEscape(line);
  }
}

}  // namespace ringlog
