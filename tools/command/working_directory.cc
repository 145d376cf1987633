#include "ringlog/tools/command/working_directory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace ringlog {

absl::Status EnterWorkingDirectory() {
  const char* directory = getenv("BUILD_WORKING_DIRECTORY");
  if (directory == nullptr || chdir(directory) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot enter ", directory));
}

}  // namespace ringlog
