// Optional items of a record's head: the literal and variable pieces of the
// text, and context fields (ring/FORMAT.md, "The record's head").
//
// An extension is a sequence of items. Readers ignore items of unknown kinds.
//
// The functions are thread-safe. Functions that read accept untrusted bytes,
// and return views into their input.

#ifndef RINGLOG_RING_RECORD_EXTENSION_H_
#define RINGLOG_RING_RECORD_EXTENSION_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace ringlog {

// The values are frozen in the file format.
enum class ExtensionItem : uint8_t {
  // Lengths of 2 bytes each that divide the text into a literal, a value, a
  // literal, and so on. The first length and the lengths between two values may
  // be 0.
  kPieces = 1,
  // Fields, each: size of the key (1 byte), size of the value (2 bytes), key,
  // value.
  kContext = 2,
};

// Writes items into `out`, which must outlive the writer. Thread-compatible.
//
// Context: any thread; no lock, no allocation, no system call.
class ExtensionWriter {
 public:
  explicit ExtensionWriter(absl::Span<char> out) : out_(out) {}

  // Adds an item. Returns false, and adds nothing, if there is no room or
  // `content` is longer than 65,535 bytes.
  bool Add(ExtensionItem item, absl::string_view content);

  // Returns all items so far, as a view into `out`.
  absl::string_view extension() const {
    return absl::string_view(out_.data(), size_);
  }

 private:
  absl::Span<char> out_;
  size_t size_ = 0;
};

// Returns the content of the first item of this kind, or an empty view.
absl::string_view FindExtension(absl::string_view extension,
                                ExtensionItem item);

// Returns true if `pieces`, the content of kPieces, divides `text`: the lengths
// add up to its size. They do not if the text was truncated.
bool PiecesFit(absl::string_view pieces, absl::string_view text);

// Sets `*piece` to the next piece, and advances `*pieces` and `*text` over it.
// Literals and values alternate. Returns false at the end.
// Requires: PiecesFit() was true for the initial values.
bool NextPiece(absl::string_view* pieces, absl::string_view* text,
               absl::string_view* piece);

// Maximum size of a field's key and value.
inline constexpr size_t kMaxContextKeyBytes = 64;
inline constexpr size_t kMaxContextValueBytes = 65535;
// Bytes of a field in addition to its key and value.
inline constexpr size_t kContextFieldBytes = 3;

// Returns true if `key` has 1 to kMaxContextKeyBytes characters of A-Z, a-z,
// 0-9, '_', '-' and '.'. Such a key needs no escaping in any format.
bool IsContextKey(absl::string_view key);

// Writes a field to `out` and returns its size in bytes. Returns 0 if the field
// does not fit or the key is not valid.
size_t EncodeContextField(absl::string_view key, absl::string_view value,
                          absl::Span<char> out);

// Reads the next field of the content of kContext, and advances `*fields` over
// it. Returns false at the end, and at bytes that are not a field.
bool NextContextField(absl::string_view* fields, absl::string_view* key,
                      absl::string_view* value);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECORD_EXTENSION_H_
