// Progress
//
// A line on a terminal that says how far long work has got. It is there only
// while there is something to say, and leaves nothing behind.

#ifndef RINGLOG_TOOLS_COMMAND_PROGRESS_H_
#define RINGLOG_TOOLS_COMMAND_PROGRESS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace ringlog {

// Thread-compatible.
class Progress {
 public:
  // Prints on `fd`, which stays the caller's, if that is a terminal.
  Progress(int fd, absl::Time now);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Shows `what()`, if a second has passed since the last time, or since the
  // beginning. Reads the clock at every thousandth call.
  void Show(absl::FunctionRef<std::string()> what);
  // The same, with the time.
  void ShowAt(absl::Time now, absl::FunctionRef<std::string()> what);

  // Takes the line away: something else is going to be printed.
  void Clear();

 private:
  const int fd_;
  const bool is_terminal_;
  absl::Time shown_;
  unsigned calls_ = 0;
  bool is_there_ = false;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_PROGRESS_H_
