#include "ringlog/tools/message.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ringlog/tools/output.h"

namespace ringlog {

void PrintMessage(absl::string_view subject, absl::string_view message) {
  std::string line;
  AppendVisible(absl::StrCat("ringlog: ", subject, ": ",
                             absl::StrReplaceAll(message, {{"\n", " "}})),
                &line);
  line += '\n';
  Output standard_error(STDERR_FILENO, /*is_terminal=*/false);
  standard_error.Append(line);
  standard_error.Flush();  // If that fails there is nobody to tell.
}

}  // namespace ringlog
