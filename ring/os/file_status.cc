#include "ringlog/ring/os/file_status.h"

#include <errno.h>

namespace ringlog {

absl::Status FileStatus(int error, absl::string_view message) {
  absl::Status status = absl::ErrnoToStatus(error, message);
  if (!absl::IsNotFound(status) || error == ENOENT) return status;
  return absl::UnavailableError(status.message());
}

}  // namespace ringlog
