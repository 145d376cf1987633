#include "ringlog/ring/os/stderr_log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/monotonic_time.h"

namespace ringlog {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);

// Returns true if a write of a line to `fd` would find room now. Other
// processes may use the room first.
bool HasRoom(int fd) {
  pollfd out = {fd, POLLOUT, 0};
  return poll(&out, 1, /*timeout=*/0) == 1 && (out.revents & POLLOUT) != 0;
}

// Returns false if an error prevented the write. If there is too little room,
// may write a part of the line.
bool WriteWithoutWaiting(int fd, absl::string_view line) {
  struct stat st;
  if (fstat(fd, &st) != 0) return false;
  if (S_ISSOCK(st.st_mode)) {
    return send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  }
  int own = -1;
  if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
    // O_NONBLOCK belongs to the open file description, which other processes
    // share. Opens the file again to get its own.
    own = open(DescriptorPath(fd).c_str(),
               O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  if (own < 0 && !HasRoom(fd)) return true;
  const bool ok = write(own < 0 ? fd : own, line.data(), line.size()) >= 0;
  if (own >= 0) close(own);
  return ok;
}

// Truncates `what` if necessary, but never `more`.
void WriteLine(absl::string_view what, absl::string_view more) {
  // At most as much as a pipe accepts atomically.
  const std::string line =
      absl::StrCat("ringlog: ", what.substr(0, PIPE_BUF - 64), more, "\n");
  // If the reader has closed the pipe, the write raises SIGPIPE in this thread.
  // Blocks the signal and removes it, unless it was pending before.
  sigset_t pipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const bool is_lost = !WriteWithoutWaiting(STDERR_FILENO, line);
  if (is_lost && sigismember(&pending, SIGPIPE) == 0) {
    const timespec now = {};
    sigtimedwait(&pipe, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

bool WarnRateLimited(absl::string_view what) {
  static RateLimit limit(kInterval);
  const std::optional<uint64_t> suppressed =
      limit.Admit(MonotonicTime(), ForkGeneration::Now());
  if (!suppressed) return false;
  WriteLine(what, *suppressed == 0 ? ""
                                   : absl::StrCat(" (", *suppressed,
                                                  " more lines suppressed)"));
  return true;
}

void WarnDataLoss(absl::string_view what) { WriteLine(what, ""); }

}  // namespace ringlog
