#include "ringlog/ring/os/open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace ringlog {

int OpenFile(const char* path, int flags, mode_t mode) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // It stays: closed by its number it could be what another thread has put
    // there by dup2(2) meanwhile.
    const int placeholder = open("/", O_PATH | O_CLOEXEC);
    if (placeholder < 0) return -1;
    if (placeholder > STDERR_FILENO) close(placeholder);
  }
  return open(path, flags | O_CLOEXEC, mode);
}

}  // namespace ringlog
