#include "ringlog/tools/command/output.h"

#include <errno.h>
#include <unistd.h>

#include <cstddef>

namespace ringlog {
namespace {

constexpr size_t kBufferBytes = 256 << 10;

// Returns the length of the UTF-8 character at the beginning of `text`. Returns
// 0 if there is none, or if it is a control character of more than one byte.
size_t PrintableUtf8(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  const size_t length = first < 0x80                     ? 1
                        : first >= 0xC2 && first <= 0xDF ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool is_c1 = first == 0xC2 && byte(1) < 0xA0;
  const bool is_overlong =
      (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  return is_c1 || is_overlong ? 0 : length;
}

}  // namespace

void AppendVisible(absl::string_view text, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const bool is_control =
        (first < 0x20 && first != '\n' && first != '\t') || first == 0x7F;
    const size_t length = is_control ? 0 : PrintableUtf8(text);
    if (length == 0) {
      out->append({'\\', 'x', kDigits[first >> 4], kDigits[first & 15]});
      text.remove_prefix(1);
    } else {
      out->append(text.data(), length);
      text.remove_prefix(length);
    }
  }
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
