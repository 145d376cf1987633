#include "ringlog/compress/complain.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace ringlog {

void Complain(absl::string_view what) {
  // As much as a pipe takes at once, or not at all.
  std::string line = absl::StrCat("ringlog: ", what.substr(0, PIPE_BUF - 16));
  line += '\n';
  pollfd out = {STDERR_FILENO, POLLOUT, 0};
  if (poll(&out, 1, /*timeout=*/0) != 1 || (out.revents & POLLOUT) == 0) return;
  // A reader that has just gone makes it SIGPIPE, which is this thread's own.
  sigset_t pipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const bool is_lost = write(STDERR_FILENO, line.data(), line.size()) < 0;
  if (is_lost && sigismember(&pending, SIGPIPE) == 0) {
    const timespec now = {};
    sigtimedwait(&pipe, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace ringlog
