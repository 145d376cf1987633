#include "ringlog/tools/command/progress.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/tools/command/output.h"

namespace ringlog {
namespace {

// Moves the cursor to the beginning of the line and clears the line.
constexpr absl::string_view kClearLine = "\r\x1B[K";

void Print(int fd, absl::string_view bytes) {
  Output output(fd, /*is_terminal=*/false);
  output.Append(bytes);
  output.Flush();
}

}  // namespace

Progress::Progress(int fd, absl::Time now)
    : fd_(fd), is_terminal_(isatty(fd) == 1), last_shown_(now) {}

void Progress::Show(absl::FunctionRef<std::string()> text) {
  constexpr unsigned kCallsBetweenClocks = 1000;
  if (!is_terminal_ || ++calls_ % kCallsBetweenClocks != 0) return;
  ShowAt(absl::Now(), text);
}

void Progress::ShowAt(absl::Time now, absl::FunctionRef<std::string()> text) {
  if (!is_terminal_ || now - last_shown_ < absl::Seconds(1)) return;
  last_shown_ = now;
  is_visible_ = true;
  std::string line;
  AppendVisible(text(), &line);
  Print(fd_, absl::StrCat(kClearLine, line));
}

void Progress::Clear() {
  if (is_visible_) Print(fd_, kClearLine);
  is_visible_ = false;
}

}  // namespace ringlog
