// The little JSON that log lines need: strings that are valid whatever bytes
// they are made of, and a reader of one object that trusts nothing.

#ifndef RINGLOG_COMPRESS_LINE_JSON_H_
#define RINGLOG_COMPRESS_LINE_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// The number of bytes of the UTF-8 character that `text` begins with, 1 to 4; 0
// if it begins with none: Unicode table 3-7, so no overlong forms, no
// surrogates, nothing above U+10FFFF. Requires: text is not empty.
size_t Utf8CharacterBytes(absl::string_view text);

// Appends `text` as a JSON string, quotes included. A byte that belongs to no
// UTF-8 character becomes U+FFFD; false if there was one, and the string is
// then not the exact text.
bool AppendJsonString(absl::string_view text, std::string* out);

// Reads JSON from left to right. After the first false, the rest is
// unspecified.
//
//   JsonCursor json(line);
//   if (!json.Consume('{')) return false;
//   ...
//
// A malformed or hostile text costs time in proportion to its length and no
// more memory than its strings need.
//
// Thread-compatible. The text must outlive it.
class JsonCursor {
 public:
  explicit JsonCursor(absl::string_view text) : rest_(text) {}

  // True, and past it, if `c` comes next (after white space, as everywhere
  // here).
  bool Consume(char c);
  // True if nothing but white space is left.
  bool AtEnd();

  // A string, unescaped. Refuses control characters, invalid UTF-8 and half
  // surrogate pairs.
  bool ReadString(std::string* out);
  // A number without fraction and exponent, in range.
  bool ReadInt64(int64_t* out);
  bool ReadUint64(uint64_t* out);
  // Any value, at most kMaxDepth deep.
  bool SkipValue();

  // Reads `{"key":value,...}`: calls on_member(key) with the cursor at the
  // value, which it must read or skip; false as soon as that is.
  template <typename OnMember>
  bool ReadObject(OnMember on_member) {
    if (!Consume('{')) return false;
    if (Consume('}')) return true;
    std::string key;
    do {
      if (!ReadString(&key) || !Consume(':') || !on_member(key)) return false;
    } while (Consume(','));
    return Consume('}');
  }

 private:
  static constexpr int kMaxDepth = 32;

  void SkipSpace();
  absl::string_view ReadNumber();
  bool ReadEscape(std::string* out);
  bool ReadHex4(uint32_t* out);
  bool SkipValueAt(int depth);

  absl::string_view rest_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_JSON_H_
