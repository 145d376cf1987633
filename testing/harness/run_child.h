// Child processes of a test, and a signal between processes.

#ifndef RINGLOG_TESTING_HARNESS_RUN_CHILD_H_
#define RINGLOG_TESTING_HARNESS_RUN_CHILD_H_

#include <sys/types.h>

#include <functional>
#include <string>

namespace ringlog {

// Calls fork(2). With AddressSanitizer, waits until all other threads sleep: if
// another thread holds a lock of the sanitizer's allocator during the fork, the
// lock stays locked in the child. (clang 14 does not acquire these locks before
// a fork.)
pid_t Fork();

// Forks a child that runs `body` and then exit(0). Returns its process id.
pid_t StartChild(const std::function<void()>& body);

// Waits for the end of `child` and returns its status as waitpid(2) reports it;
// 0 is a normal exit with status 0.
int AwaitChild(pid_t child);

// Runs `body` in a child and returns its status as AwaitChild() does. If `err`
// is not null, stores in `*err` the stderr of the child and of its children;
// returns only after all of them have ended or have closed stderr.
int RunChild(const std::function<void()>& body, std::string* err = nullptr);

// Returns true if the calling process has a thread named `name`.
bool HasThread(const std::string& name);

// A pipe by which one process waits for another. Its descriptors are closed by
// exec.
class Signal {
 public:
  Signal();
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  // Lets one Await() return.
  void Send();
  // Waits for a Send(). Ends the process if no process is left that could send.
  void Await();
  // Descriptors for a program that waits by reading its input, or reports by
  // writing its output.
  int read_fd() const { return fds_[0]; }
  int write_fd() const { return fds_[1]; }

 private:
  int fds_[2];
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_RUN_CHILD_H_
