// JSON for log lines: a writer of strings that produces valid JSON from any
// bytes, and a reader of one value that is safe on hostile input.
//
// The functions are thread-safe.

#ifndef RINGLOG_COMPRESS_LINE_JSON_H_
#define RINGLOG_COMPRESS_LINE_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// Returns the length in bytes, 1 to 4, of the UTF-8 character at the beginning
// of `text`. Returns 0 if `text` does not begin with a character of Unicode
// table 3-7: overlong forms, surrogates and codes above U+10FFFF are not
// characters.
// Requires: `text` is not empty.
size_t Utf8CharacterBytes(absl::string_view text);

// Appends `text` to `out` as a JSON string with its quotes. Replaces each byte
// that belongs to no UTF-8 character by U+FFFD. Returns false if it replaced a
// byte, because the string then differs from `text`.
bool AppendJsonString(absl::string_view text, std::string* out);

// Returns true if `line`, with or without its line break, is one JSON object in
// valid UTF-8 that every reader of lines takes for one line: it has no other
// line break, and no carriage return. An object that is nested more than 32
// levels deep does not count.
bool IsJsonObjectLine(absl::string_view line);

// Reads JSON values from left to right.
//
//   JsonCursor json(line);
//   if (!json.Consume('{')) return false;
//   ...
//
// Each method skips white space first. If a Read or Skip method returns false,
// the text is malformed; the cursor's position and the method's output are then
// unspecified.
//
// Guarantees: reading takes time in proportion to the length of the text,
// whatever its bytes are, and allocates memory only for strings.
//
// Thread-compatible. The text must outlive the cursor.
class JsonCursor {
 public:
  explicit JsonCursor(absl::string_view text) : rest_(text) {}

  // If `c` comes next, advances the cursor over it and returns true. Otherwise
  // leaves the cursor at the next character and returns false.
  bool Consume(char c);
  // Returns true if only white space is left.
  bool AtEnd();

  // Reads a string and decodes its escapes. Rejects control characters, invalid
  // UTF-8 and unpaired surrogates.
  bool ReadString(std::string* out);
  // Reads an integer. Rejects a fraction, an exponent and a value out of range.
  bool ReadInt64(int64_t* out);
  bool ReadUint64(uint64_t* out);
  // Skips one value of any type. Rejects a value that is nested more than 32
  // levels deep.
  bool SkipValue();

  // Reads an object. Calls on_member(key) for each member, with the cursor at
  // the member's value; on_member must read or skip the value. Stops and
  // returns false if on_member returns false.
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
  // Reads a string without its first quote. `out` may be null.
  bool ReadStringRest(std::string* out);
  bool ReadEscape(std::string* out);
  bool ReadHex4(uint32_t* out);
  bool SkipValueAt(int depth);

  absl::string_view rest_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_JSON_H_
