#include "ringlog/testing/harness/run_child.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>

#include "absl/base/config.h"
#include "absl/log/check.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
namespace {

// Returns true if all threads but the calling one sleep.
bool OtherThreadsSleep() {
  const std::string self = std::to_string(gettid());
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == self) continue;
    std::ifstream stat(task.path() / "stat");
    std::string line;
    std::getline(stat, line);
    // The state follows the name of the program, which is in parentheses.
    const size_t name_end = line.rfind(") ");
    if (name_end != std::string::npos && line[name_end + 2] != 'S') {
      return false;
    }
  }
  return true;
}

}  // namespace
#endif

pid_t Fork() {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  WaitUntil(OtherThreadsSleep);
#endif
  return fork();
}

pid_t StartChild(const std::function<void()>& body) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  // The recovery thread of a former sink may still run, and the child's leak
  // check would report what the thread owns.
  WaitUntil([] { return !HasThread("ringlog-recover"); });
#endif
  const pid_t child = Fork();
  CHECK_GE(child, 0);
  if (child == 0) {
    body();
    exit(0);
  }
  return child;
}

int AwaitChild(pid_t child) {
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  return status;
}

int RunChild(const std::function<void()>& body, std::string* err) {
  int err_pipe[2];
  CHECK_EQ(pipe(err_pipe), 0);
  const pid_t child = StartChild([&] {
    dup2(err_pipe[1], STDERR_FILENO);
    close(err_pipe[0]);
    close(err_pipe[1]);
    body();
  });
  close(err_pipe[1]);
  std::string all;
  char buffer[4096];
  for (ssize_t n; (n = read(err_pipe[0], buffer, sizeof buffer)) > 0;) {
    all.append(buffer, static_cast<size_t>(n));
  }
  close(err_pipe[0]);
  const int status = AwaitChild(child);
  if (err != nullptr) {
    *err = all;
  } else if (status != 0) {
    CHECK_EQ(write(STDERR_FILENO, all.data(), all.size()),
             static_cast<ssize_t>(all.size()));
  }
  return status;
}

bool HasThread(const std::string& name) {
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(task.path() / "comm");
    std::string line;
    if (std::getline(comm, line) && line == name) return true;
  }
  return false;
}

Signal::Signal() { CHECK_EQ(pipe2(fds_, O_CLOEXEC), 0); }

Signal::~Signal() {
  close(fds_[0]);
  close(fds_[1]);
}

void Signal::Send() {
  if (write(fds_[1], "x", 1) != 1) _exit(110);
}

void Signal::Await() {
  char c;
  if (read(fds_[0], &c, 1) != 1) _exit(111);
}

}  // namespace ringlog
