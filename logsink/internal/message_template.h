// Which bytes of a message are literals of its LOG() statement, and which are
// values: Abseil tells the two apart in LogEntry::encoded_message().
//
// What that holds is not published: this knows what Abseil 20240116 to 20260526
// write, trusts nothing of it, and compares it with the text, which is what
// counts. structured_test.cc shows that it fits the Abseil of this build.

#ifndef RINGLOG_LOGSINK_INTERNAL_MESSAGE_TEMPLATE_H_
#define RINGLOG_LOGSINK_INTERNAL_MESSAGE_TEMPLATE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace ringlog {

// The pieces of a text, of which the first is a literal, maybe an empty one,
// the next a value, and so on.
class MessagePieces {
 public:
  // Literals beside each other are one; values are not. False if there are too
  // many, or one is too long.
  bool AddLiteral(size_t bytes);
  bool AddValue(size_t bytes);

  // The lengths, as ExtensionItem::kPieces has them.
  absl::string_view lengths() const;
  bool has_literal() const { return has_literal_; }

 private:
  bool Add(size_t bytes);

  std::array<uint16_t, 192> lengths_;
  size_t count_ = 0;
  bool has_literal_ = false;
};

// Cuts `text` into the literals and values that `encoded_message` says. False,
// and `pieces` is unspecified, if that is not what it looks like, or is not
// exactly the text, or if there are no literals to tell from values; a message
// that Abseil has cut is one of these.
//
// Context: any thread; no lock, no allocation, no system call.
bool SplitMessage(absl::string_view encoded_message, absl::string_view text,
                  MessagePieces* pieces);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_MESSAGE_TEMPLATE_H_
