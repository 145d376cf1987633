// Output
//
// Bytes to a file descriptor in large writes. For a terminal, control bytes are
// shown and not sent: a log holds what others wrote.

#ifndef RINGLOG_TOOLS_COMMAND_OUTPUT_H_
#define RINGLOG_TOOLS_COMMAND_OUTPUT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// Appends `text` with everything that could steer a terminal as \xHH: control
// bytes but for tab and line feed, the C1 control characters of UTF-8, and
// bytes that are not UTF-8.
void AppendVisible(absl::string_view text, std::string* out);

// Thread-compatible. Requires: SIGPIPE is ignored.
class Output {
 public:
  // `fd` stays the caller's.
  Output(int fd, bool is_terminal) : fd_(fd), is_terminal_(is_terminal) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // False if a write has failed: nothing is written any more then.
  bool Append(absl::string_view bytes);
  bool Flush();

  // errno of the write that failed; 0 if none has. EPIPE: the reader has seen
  // enough.
  int error() const { return error_; }

 private:
  bool Write(absl::string_view bytes);

  const int fd_;
  const bool is_terminal_;
  int error_ = 0;
  std::string buffer_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_OUTPUT_H_
