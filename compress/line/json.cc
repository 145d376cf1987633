#include "ringlog/compress/line/json.h"

#include <array>
#include <charconv>
#include <cstring>
#include <system_error>

#include "absl/strings/strip.h"

namespace ringlog {
namespace {

// Returns the table of plain bytes: printable ASCII except '"' and '\'. They
// stand for themselves in a JSON string.
constexpr std::array<bool, 256> MakePlainTable() {
  std::array<bool, 256> table = {};
  for (size_t c = 0x20; c < 0x80; ++c) table[c] = c != '"' && c != '\\';
  return table;
}
constexpr std::array<bool, 256> kPlain = MakePlainTable();

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kTops = kOnes * 0x80;

// Returns true if one of the eight bytes of `v` is not plain. In each term, the
// top bit of a byte is set if the byte matches the comment next to the term. A
// borrow from a lower byte can set a top bit too, but only a byte that matches
// borrows, so the result is still correct.
bool AnyNotPlain(uint64_t v) {
  const uint64_t quote = v ^ (kOnes * '"');
  const uint64_t backslash = v ^ (kOnes * '\\');
  return ((v |                                    // 0x80 and above
           (v - kOnes * 0x20) |                   // below 0x20
           ((quote - kOnes) & ~quote) |           // '"'
           ((backslash - kOnes) & ~backslash)) &  // backslash
          kTops) != 0;
}

size_t PlainBytes(absl::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t v;
    std::memcpy(&v, text.data() + i, sizeof v);
    if (AnyNotPlain(v)) break;
  }
  while (i < text.size() && kPlain[static_cast<unsigned char>(text[i])]) ++i;
  return i;
}

bool IsContinuation(unsigned char c) { return (c & 0xC0) == 0x80; }

void AppendEscaped(unsigned char c, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  out->push_back('\\');
  switch (c) {
    case '"':
    case '\\':
      out->push_back(static_cast<char>(c));
      return;
    case '\n':
      out->push_back('n');
      return;
    case '\r':
      out->push_back('r');
      return;
    case '\t':
      out->push_back('t');
      return;
    default:
      out->append("u00");
      out->push_back(kHex[c >> 4]);
      out->push_back(kHex[c & 15]);
  }
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto push = [out](uint32_t byte) {
    out->push_back(static_cast<char>(byte));
  };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | code >> 6);
    push(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    push(0xE0 | code >> 12);
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  } else {
    push(0xF0 | code >> 18);
    push(0x80 | (code >> 12 & 0x3F));
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  }
}

template <typename Int>
bool ParseEntire(absl::string_view digits, Int* out) {
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, *out);
  return result.ec == std::errc() && result.ptr == end;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Returns the number of digits at the beginning of `text`.
size_t CountDigits(absl::string_view text) {
  size_t n = 0;
  while (n < text.size() && IsDigit(text[n])) ++n;
  return n;
}

// Returns true if `word` is a number by the grammar of RFC 8259.
bool IsNumber(absl::string_view word) {
  absl::ConsumePrefix(&word, "-");
  size_t digits = CountDigits(word);
  if (digits == 0 || (digits > 1 && word[0] == '0')) return false;
  word.remove_prefix(digits);
  if (absl::ConsumePrefix(&word, ".")) {
    digits = CountDigits(word);
    if (digits == 0) return false;
    word.remove_prefix(digits);
  }
  if (word.empty()) return true;
  if (word[0] != 'e' && word[0] != 'E') return false;
  word.remove_prefix(1);
  if (!absl::ConsumePrefix(&word, "+")) absl::ConsumePrefix(&word, "-");
  return !word.empty() && CountDigits(word) == word.size();
}

}  // namespace

size_t Utf8CharacterBytes(absl::string_view text) {
  const auto at = [text](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return 0;
  // The second byte's range is narrower after some leads.
  const unsigned char second = at(1);
  if (!IsContinuation(second) || (lead == 0xE0 && second < 0xA0) ||
      (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
      (lead == 0xF4 && second > 0x8F)) {
    return 0;
  }
  for (size_t i = 2; i < bytes; ++i) {
    if (!IsContinuation(at(i))) return 0;
  }
  return bytes;
}

bool AppendJsonString(absl::string_view text, std::string* out) {
  bool exact = true;
  out->push_back('"');
  while (true) {
    const size_t plain = PlainBytes(text);
    out->append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const auto c = static_cast<unsigned char>(text[0]);
    size_t used = 1;
    if (c < 0x80) {
      AppendEscaped(c, out);
    } else if (const size_t bytes = Utf8CharacterBytes(text); bytes != 0) {
      out->append(text.data(), bytes);
      used = bytes;
    } else {
      AppendUtf8(0xFFFD, out);
      exact = false;
    }
    text.remove_prefix(used);
  }
  out->push_back('"');
  return exact;
}

bool IsJsonObjectLine(absl::string_view line) {
  absl::ConsumeSuffix(&line, "\n");
  if (line.find_first_of("\n\r") != absl::string_view::npos) return false;
  JsonCursor begin(line);
  JsonCursor all(line);
  return begin.Consume('{') && all.SkipValue() && all.AtEnd();
}

void JsonCursor::SkipSpace() {
  const size_t n = rest_.find_first_not_of(" \t\r\n");
  rest_.remove_prefix(n == absl::string_view::npos ? rest_.size() : n);
}

bool JsonCursor::Consume(char c) {
  SkipSpace();
  if (rest_.empty() || rest_[0] != c) return false;
  rest_.remove_prefix(1);
  return true;
}

bool JsonCursor::AtEnd() {
  SkipSpace();
  return rest_.empty();
}

bool JsonCursor::ReadString(std::string* out) {
  out->clear();
  return Consume('"') && ReadStringRest(out);
}

bool JsonCursor::ReadStringRest(std::string* out) {
  while (true) {
    const size_t plain = PlainBytes(rest_);
    if (out != nullptr) out->append(rest_.data(), plain);
    rest_.remove_prefix(plain);
    if (rest_.empty()) return false;
    const auto c = static_cast<unsigned char>(rest_[0]);
    if (c == '"') {
      rest_.remove_prefix(1);
      return true;
    }
    if (c == '\\') {
      rest_.remove_prefix(1);
      if (!ReadEscape(out)) return false;
    } else {
      const size_t bytes = c < 0x20 ? 0 : Utf8CharacterBytes(rest_);
      if (bytes == 0) return false;
      if (out != nullptr) out->append(rest_.data(), bytes);
      rest_.remove_prefix(bytes);
    }
  }
}

bool JsonCursor::ReadHex4(uint32_t* out) {
  if (rest_.size() < 4) return false;
  const auto result = std::from_chars(rest_.data(), rest_.data() + 4, *out, 16);
  if (result.ec != std::errc() || result.ptr != rest_.data() + 4) return false;
  rest_.remove_prefix(4);
  return true;
}

// Reads the part of an escape sequence after its backslash. `out` may be null.
bool JsonCursor::ReadEscape(std::string* out) {
  if (rest_.empty()) return false;
  const char c = rest_[0];
  rest_.remove_prefix(1);
  constexpr absl::string_view kNames = "\"\\/bfnrt";
  constexpr absl::string_view kMeanings = "\"\\/\b\f\n\r\t";
  if (c != 'u') {
    const size_t i = kNames.find(c);
    if (i == absl::string_view::npos) return false;
    if (out != nullptr) out->push_back(kMeanings[i]);
    return true;
  }
  uint32_t code = 0;
  if (!ReadHex4(&code)) return false;
  if (code >= 0xDC00 && code < 0xE000) return false;
  if (code >= 0xD800 && code < 0xDC00) {
    uint32_t low = 0;
    if (rest_.substr(0, 2) != "\\u") return false;
    rest_.remove_prefix(2);
    if (!ReadHex4(&low) || low < 0xDC00 || low >= 0xE000) return false;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  if (out != nullptr) AppendUtf8(code, out);
  return true;
}

// Consumes and returns the sign and digits of an integer. Returns an empty view
// if no integer comes next, or if a fraction or an exponent follows it.
absl::string_view JsonCursor::ReadNumber() {
  SkipSpace();
  size_t n = 0;
  if (n < rest_.size() && rest_[n] == '-') ++n;
  const size_t first_digit = n;
  while (n < rest_.size() && IsDigit(rest_[n])) ++n;
  const bool leading_zero = n > first_digit + 1 && rest_[first_digit] == '0';
  if (n == first_digit || leading_zero) return {};
  if (n < rest_.size() &&
      (rest_[n] == '.' || rest_[n] == 'e' || rest_[n] == 'E')) {
    return {};
  }
  const absl::string_view number = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return number;
}

bool JsonCursor::ReadInt64(int64_t* out) {
  return ParseEntire(ReadNumber(), out);
}

bool JsonCursor::ReadUint64(uint64_t* out) {
  return ParseEntire(ReadNumber(), out);
}

bool JsonCursor::SkipValue() { return SkipValueAt(0); }

bool JsonCursor::SkipValueAt(int depth) {
  if (depth == kMaxDepth) return false;
  SkipSpace();
  if (rest_.empty()) return false;
  const char c = rest_[0];
  if (Consume('"')) return ReadStringRest(nullptr);
  if (c == '{') {
    return ReadObject(
        [this, depth](const std::string&) { return SkipValueAt(depth + 1); });
  }
  if (c == '[') {
    rest_.remove_prefix(1);
    if (Consume(']')) return true;
    do {
      if (!SkipValueAt(depth + 1)) return false;
    } while (Consume(','));
    return Consume(']');
  }
  const size_t n = rest_.find_first_not_of(
      "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  const absl::string_view word = rest_.substr(0, n);
  rest_.remove_prefix(word.size());
  return word == "true" || word == "false" || word == "null" || IsNumber(word);
}

}  // namespace ringlog
