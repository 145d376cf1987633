#include "ringlog/tools/command/output.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "ringlog/compress/line/json.h"

namespace ringlog {
namespace {

constexpr size_t kBufferBytes = 256 << 10;

// Ranges of characters that are invisible, or that change how a terminal shows
// other characters, in order: Bidi_Control, Default_Ignorable_Code_Point,
// separators of lines and annotations in Unicode 15.
struct Range {
  uint32_t first;
  uint32_t last;
};
constexpr Range kHidden[] = {
    {0x80, 0x9F},        // C1 controls
    {0xAD, 0xAD},        // soft hyphen
    {0x34F, 0x34F},      // combining grapheme joiner
    {0x61C, 0x61C},      // Arabic letter mark
    {0x115F, 0x1160},    // Hangul fillers
    {0x17B4, 0x17B5},    // Khmer inherent vowels
    {0x180B, 0x180F},    // Mongolian separators
    {0x200B, 0x200F},    // zero-width characters and direction marks
    {0x2028, 0x202E},    // line separators and bidirectional controls
    {0x2060, 0x206F},    // word joiner and bidirectional isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xFE00, 0xFE0F},    // variation selectors
    {0xFEFF, 0xFEFF},    // byte order mark
    {0xFFA0, 0xFFA0},    // Hangul filler
    {0xFFF0, 0xFFFB},    // annotations
    {0x1BCA0, 0x1BCA3},  // shorthand controls
    {0x1D173, 0x1D17A},  // musical controls
    {0xE0000, 0xE0FFF},  // tags and variation selectors
};

// Returns the code of the character that `bytes` are. Requires: they are one
// character of UTF-8, of at least two bytes.
uint32_t CodeOf(absl::string_view bytes) {
  uint32_t code =
      static_cast<unsigned char>(bytes[0]) & ((1u << (7 - bytes.size())) - 1);
  for (const char c : bytes.substr(1)) {
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3F);
  }
  return code;
}

bool IsHidden(uint32_t code) {
  const auto* const range = std::lower_bound(
      std::begin(kHidden), std::end(kHidden), code,
      [](const Range& r, uint32_t value) { return r.last < value; });
  return range != std::end(kHidden) && range->first <= code;
}

// Returns the number of bytes at the beginning of `text` that are one visible
// character, a tab or a line feed; 0 if they are not.
size_t VisibleBytes(absl::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    const bool is_visible =
        (first >= 0x20 && first != 0x7F) || first == '\n' || first == '\t';
    return is_visible ? 1 : 0;
  }
  const size_t bytes = Utf8CharacterBytes(text);
  return bytes == 0 || IsHidden(CodeOf(text.substr(0, bytes))) ? 0 : bytes;
}

void AppendEscaped(char byte, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  out->append({'\\', 'x', kDigits[value >> 4], kDigits[value & 15]});
}

}  // namespace

void AppendVisible(absl::string_view text, std::string* out) {
  while (!text.empty()) {
    const size_t bytes = VisibleBytes(text);
    if (bytes == 0) {
      // The bytes after the first one of a character are escaped too, because
      // they begin no character.
      AppendEscaped(text[0], out);
      text.remove_prefix(1);
    } else {
      out->append(text.data(), bytes);
      text.remove_prefix(bytes);
    }
  }
}

std::string VisibleLine(absl::string_view text) {
  std::string line;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    AppendVisible(text.substr(0, end), &line);
    if (end == text.size()) break;
    AppendEscaped('\n', &line);
    text.remove_prefix(end + 1);
  }
  return line;
}

bool Output::Append(absl::string_view bytes) {
  if (error_ != 0) return false;
  if (is_terminal_) {
    AppendVisible(bytes, &buffer_);
    return buffer_.size() < kBufferBytes || Flush();
  }
  if (bytes.size() >= kBufferBytes) return Flush() && Write(bytes);
  buffer_.append(bytes.data(), bytes.size());
  return buffer_.size() < kBufferBytes || Flush();
}

bool Output::Flush() {
  if (!Write(buffer_)) return false;
  buffer_.clear();
  return true;
}

bool Output::Write(absl::string_view bytes) {
  while (!bytes.empty() && error_ == 0) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  return error_ == 0;
}

}  // namespace ringlog
