#include "ringlog/tools/command/message.h"

#include <errno.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace ringlog {

void PrintMessage(absl::string_view subject, absl::string_view message) {
  std::string line =
      absl::StrCat("ringlog: ", VisibleLine(subject), ": ",
                   VisibleLine(absl::StrReplaceAll(message, {{"\n", " "}})));
  line += '\n';
  Output standard_error(STDERR_FILENO, /*is_terminal=*/false);
  standard_error.Append(line);
  standard_error.Flush();
}

bool FinishStandardOutput(Output* output) {
  output->Flush();
  if (output->error() == 0 || output->error() == EPIPE) return true;
  PrintMessage("standard output",
               absl::ErrnoToStatus(output->error(), "cannot write").message());
  return false;
}

}  // namespace ringlog
