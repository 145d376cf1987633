#include "ringlog/ring/open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace ringlog {

int OpenFile(const char* path, int flags, mode_t mode) {
  // What is opened by O_PATH can be neither read nor written, so that it is for
  // everybody as if the number were still free, while the file gets a higher
  // one.
  int placeholders[STDERR_FILENO + 1];
  int count = 0;
  bool can_open = true;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && can_open; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    const int placeholder = open("/", O_PATH | O_CLOEXEC);
    can_open = placeholder >= 0;
    if (can_open) placeholders[count++] = placeholder;
  }
  const int fd = can_open ? open(path, flags | O_CLOEXEC, mode) : -1;
  const int error = errno;
  while (count > 0) close(placeholders[--count]);
  errno = error;
  return fd;
}

}  // namespace ringlog
