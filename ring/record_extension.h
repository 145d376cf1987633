// What a record may say beyond the fixed fields of its head: which bytes of its
// text were literals, and fields of the context that it was logged in
// (ring/FORMAT.md, "The record's head").
//
// An extension is items, one after the other. A reader passes over those that
// it does not know.

#ifndef RINGLOG_RING_RECORD_EXTENSION_H_
#define RINGLOG_RING_RECORD_EXTENSION_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace ringlog {

// These values are frozen in the file format.
enum class ExtensionItem : uint8_t {
  // Lengths of 2 bytes that cut the text into pieces: of a literal, a value, a
  // literal, ... The first may be 0, and so may be those between two values.
  kPieces = 1,
  // Fields: length of the key (1), of the value (2), key, value.
  kContext = 2,
};

// Writes items into memory that it does not own.
//
// Context: any thread; no lock, no allocation, no system call.
class ExtensionWriter {
 public:
  explicit ExtensionWriter(absl::Span<char> out) : out_(out) {}

  // False if there is no room for it; nothing has been added then.
  bool Add(ExtensionItem item, absl::string_view content);

  absl::string_view extension() const {
    return absl::string_view(out_.data(), size_);
  }

 private:
  absl::Span<char> out_;
  size_t size_ = 0;
};

// The content of the first item of that kind; empty if there is none.
absl::string_view FindExtension(absl::string_view extension,
                                ExtensionItem item);

// True if `pieces`, the content of kPieces, cut `text` up: they have exactly
// its length. Not those of a record whose text has lost its end.
bool PiecesFit(absl::string_view pieces, absl::string_view text);

// The next piece of the text, and past it; literals and values take turns.
// False at the end. Requires: PiecesFit(), of these two, before the first.
bool NextPiece(absl::string_view* pieces, absl::string_view* text,
               absl::string_view* piece);

// The longest key and value that a field may have.
inline constexpr size_t kMaxContextKeyBytes = 64;
inline constexpr size_t kMaxContextValueBytes = 65535;
// What a field takes beside its key and its value.
inline constexpr size_t kContextFieldBytes = 3;

// True if it has 1 to kMaxContextKeyBytes of A-Z, a-z, 0-9, '_', '-' and '.':
// so it is the same in every format.
bool IsContextKey(absl::string_view key);

// Writes a field to `out` and returns its length; 0 if it does not fit, or the
// key is none.
size_t EncodeContextField(absl::string_view key, absl::string_view value,
                          absl::Span<char> out);

// The next field of the content of kContext, and past it. False at the end, and
// where what follows is no field.
bool NextContextField(absl::string_view* fields, absl::string_view* key,
                      absl::string_view* value);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECORD_EXTENSION_H_
