#include "ringlog/tools/command/progress.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/tools/command/output.h"

namespace ringlog {
namespace {

// To the line's begin, and away with what is on it.
constexpr absl::string_view kClearLine = "\r\x1B[K";

void Print(int fd, absl::string_view bytes) {
  Output output(fd, /*is_terminal=*/false);
  output.Append(bytes);
  output.Flush();  // If that fails there is nobody to tell.
}

}  // namespace

Progress::Progress(int fd, absl::Time now)
    : fd_(fd), is_terminal_(isatty(fd) == 1), shown_(now) {}

void Progress::Show(absl::FunctionRef<std::string()> what) {
  constexpr unsigned kCallsBetweenClocks = 1000;
  if (!is_terminal_ || ++calls_ % kCallsBetweenClocks != 0) return;
  ShowAt(absl::Now(), what);
}

void Progress::ShowAt(absl::Time now, absl::FunctionRef<std::string()> what) {
  if (!is_terminal_ || now - shown_ < absl::Seconds(1)) return;
  shown_ = now;
  is_there_ = true;
  std::string line;
  AppendVisible(what(), &line);
  Print(fd_, absl::StrCat(kClearLine, line));
}

void Progress::Clear() {
  if (is_there_) Print(fd_, kClearLine);
  is_there_ = false;
}

}  // namespace ringlog
