// Buffered output that is safe on a terminal.

#ifndef RINGLOG_TOOLS_COMMAND_OUTPUT_H_
#define RINGLOG_TOOLS_COMMAND_OUTPUT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// Appends `text` to `out`, with each byte as \xHH that could control a terminal
// or hide text. These are:
// - control bytes other than tab and line feed
// - bytes that are not valid UTF-8, such as surrogates
// - C1 controls, bidirectional controls, the separators U+2028 and U+2029, and
//   characters without a width, such as U+200B
void AppendVisible(absl::string_view text, std::string* out);

// Returns `text` as AppendVisible() does, and line feeds as \x0a, so that it is
// a part of one line. For paths and names.
std::string VisibleLine(absl::string_view text);

// Writes bytes to a file descriptor in large blocks. On a terminal, applies
// AppendVisible(), because log records may have control bytes.
//
// Thread-compatible. Requires: SIGPIPE is ignored.
class Output {
 public:
  // The caller keeps `fd` open and must call Flush() after the last Append().
  Output(int fd, bool is_terminal) : fd_(fd), is_terminal_(is_terminal) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Appends `bytes`, and writes the buffer if it is full. Returns false if a
  // write has failed; nothing is written after that.
  bool Append(absl::string_view bytes);
  // Writes the buffer. Returns false if a write has failed.
  bool Flush();

  // Returns the errno of the failed write, or 0. EPIPE means that the reader
  // has closed the pipe.
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
