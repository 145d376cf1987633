// Encodes the extension of a record from an absl::LogEntry: the literals and
// values of its LOG() statement, and the context fields of its thread.
//
// The functions are thread-safe.

#ifndef RINGLOG_LOGSINK_INTERNAL_ENTRY_ENCODER_H_
#define RINGLOG_LOGSINK_INTERNAL_ENTRY_ENCODER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/log/log_entry.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

// Maximum sizes of the head of a record with an extension, and of the
// extension. The fixed fields and the file name take the rest of the head.
inline constexpr size_t kExtendedHeadBytes = 448;
inline constexpr size_t kMaxExtensionBytes = 280;

// Returns true if records have an extension with these options. Text lines do
// not show it, so only records for JSON lines have one.
bool HasExtension(const RingLogSinkOptions& options);

// Writes the extension of the record of `entry` to `out`, and returns it as a
// view of `out`. Calls `context` if it is not null, and adds the context
// fields. Then adds the pieces of the message if `structured`. Omits an item if
// there is no room.
//
// Context: as RingLogSink::Send().
absl::string_view EncodeExtension(const absl::LogEntry& entry, bool structured,
                                  ContextCallback context,
                                  absl::Span<char> out);

// Lengths of the pieces of a text: a literal, which may be empty, a value, a
// literal, and so on. Thread-compatible.
class MessagePieces {
 public:
  // Add a piece after the last one. Adjacent literals become one literal;
  // between adjacent values there is an empty literal. Return false if there
  // are too many pieces, or if one is too long.
  bool AddLiteral(size_t bytes);
  bool AddValue(size_t bytes);

  // Returns the lengths as the content of ExtensionItem::kPieces, as a view of
  // this object.
  absl::string_view lengths() const;
  bool has_literal() const { return has_literal_; }

 private:
  bool Add(size_t bytes);

  std::array<uint16_t, 192> lengths_;
  size_t count_ = 0;
  bool has_literal_ = false;
};

// Splits `text` into the literals and values that `encoded_message`, which is
// LogEntry::encoded_message(), states. Returns false, with `pieces`
// unspecified, if
//
//   - `encoded_message` is not as expected,
//   - its pieces are not exactly `text`, as in a message that Abseil has
//     truncated, or
//   - there is no literal.
//
// Abseil does not document the content of encoded_message(). This function
// supports the Abseil versions 20240116 to 20260526. It compares each piece
// with `text`, so an unexpected content cannot make a wrong result.
// structured_test checks the Abseil of this build.
//
// Context: any thread; no lock, no allocation, no system call.
bool SplitMessage(absl::string_view encoded_message, absl::string_view text,
                  MessagePieces* pieces);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_ENTRY_ENCODER_H_
