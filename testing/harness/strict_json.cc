#include "ringlog/testing/harness/strict_json.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/match.h"

namespace ringlog {
namespace {

// A recursive-descent parser with one function for each rule of the grammar.
class Checker {
 public:
  explicit Checker(absl::string_view text) : rest_(text) {}

  bool IsDocument() { return Element() && rest_.empty(); }

 private:
  bool Take(absl::string_view token) {
    if (!absl::StartsWith(rest_, token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  void Space() {
    while (Take(" ") || Take("\t") || Take("\r") || Take("\n")) {
    }
  }

  bool Element() {
    Space();
    if (!Value()) return false;
    Space();
    return true;
  }

  bool Value() {
    if (rest_.empty()) return false;
    std::string ignored;
    switch (rest_[0]) {
      case '{':
        return Object();
      case '[':
        return Array();
      case '"':
        return String(&ignored);
      case 't':
        return Take("true");
      case 'f':
        return Take("false");
      case 'n':
        return Take("null");
      default:
        return Number();
    }
  }

  bool Object() {
    std::set<std::string> keys;
    Take("{");
    Space();
    if (Take("}")) return true;
    do {
      std::string key;
      Space();
      if (!String(&key) || !keys.insert(key).second) return false;
      Space();
      if (!Take(":") || !Element()) return false;
    } while (Take(","));
    return Take("}");
  }

  bool Array() {
    Take("[");
    Space();
    if (Take("]")) return true;
    do {
      if (!Element()) return false;
    } while (Take(","));
    return Take("]");
  }

  bool Digits() {
    size_t n = 0;
    while (n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9') ++n;
    rest_.remove_prefix(n);
    return n != 0;
  }

  bool Number() {
    Take("-");
    if (!Take("0") && !Digits()) return false;
    if (Take(".") && !Digits()) return false;
    if (Take("e") || Take("E")) {
      if (!Take("+")) Take("-");
      return Digits();
    }
    return true;
  }

  // Stores the bytes between the quotes in `*raw`.
  bool String(std::string* raw) {
    if (!Take("\"")) return false;
    const absl::string_view begin = rest_;
    while (!Take("\"")) {
      if (!Character()) return false;
    }
    raw->assign(begin.data(), begin.size() - rest_.size() - 1);
    return true;
  }

  bool Character() {
    if (rest_.empty() || static_cast<unsigned char>(rest_[0]) < 0x20) {
      return false;
    }
    if (!Take("\\")) return Utf8();
    if (Take("u")) return EscapedCodes();
    for (const absl::string_view name :
         {"\"", "\\", "/", "b", "f", "n", "r", "t"}) {
      if (Take(name)) return true;
    }
    return false;
  }

  bool EscapedCodes() {
    uint32_t code = 0;
    if (!Hex4(&code)) return false;
    if (code < 0xD800 || code > 0xDFFF) return true;
    uint32_t low = 0;
    return code < 0xDC00 && Take("\\u") && Hex4(&low) && low >= 0xDC00 &&
           low <= 0xDFFF;
  }

  bool Hex4(uint32_t* code) {
    constexpr absl::string_view kDigits = "0123456789abcdef";
    if (rest_.size() < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = rest_[0];
      const bool is_upper = c >= 'A' && c <= 'F';
      const size_t digit =
          kDigits.find(is_upper ? static_cast<char>(c - 'A' + 'a') : c);
      if (digit == absl::string_view::npos) return false;
      *code = *code * 16 + static_cast<uint32_t>(digit);
      rest_.remove_prefix(1);
    }
    return true;
  }

  // Accepts one UTF-8 sequence. Decodes it and checks the code point (RFC
  // 3629).
  bool Utf8() {
    const auto lead = static_cast<unsigned char>(rest_[0]);
    size_t bytes = 0;
    while (bytes < 8 && (lead << bytes & 0x80) != 0) ++bytes;
    if (bytes == 0) {
      rest_.remove_prefix(1);
      return true;
    }
    if (bytes == 1 || bytes > 4 || rest_.size() < bytes) return false;
    uint32_t code = lead & (0x7Fu >> bytes);
    for (size_t i = 1; i < bytes; ++i) {
      const auto c = static_cast<unsigned char>(rest_[i]);
      if ((c & 0xC0) != 0x80) return false;
      code = code << 6 | (c & 0x3Fu);
    }
    constexpr uint32_t kMinCode[] = {0, 0, 0x80, 0x800, 0x10000};
    rest_.remove_prefix(bytes);
    return code >= kMinCode[bytes] && code <= 0x10FFFF &&
           (code < 0xD800 || code > 0xDFFF);
  }

  absl::string_view rest_;
};

}  // namespace

bool IsStrictJson(absl::string_view text) { return Checker(text).IsDocument(); }

}  // namespace ringlog
