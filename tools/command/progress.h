// A progress line on a terminal.

#ifndef RINGLOG_TOOLS_COMMAND_PROGRESS_H_
#define RINGLOG_TOOLS_COMMAND_PROGRESS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace ringlog {

// Shows a line at most once a second, and clears it at the end. Shows nothing
// during the first second, so that short work prints nothing.
//
// Thread-compatible.
class Progress {
 public:
  // Shows the line on `fd` if `fd` is a terminal, and never otherwise. `now` is
  // the beginning of the first second. The caller keeps `fd` open.
  Progress(int fd, absl::Time now);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Shows `text()` if a second has passed. Reads the clock only in each
  // thousandth call.
  void Show(absl::FunctionRef<std::string()> text);
  // Shows `text()` if a second has passed at time `now`.
  void ShowAt(absl::Time now, absl::FunctionRef<std::string()> text);

  // Clears the line. The caller must do so before it prints other text.
  void Clear();

 private:
  const int fd_;
  const bool is_terminal_;
  // Time of the last line, or of the construction.
  absl::Time last_shown_;
  unsigned calls_ = 0;
  bool is_visible_ = false;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_PROGRESS_H_
