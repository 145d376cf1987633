// Processes that a test starts to see how they end, and what they leave.

#ifndef RINGLOG_TESTING_HARNESS_RUN_CHILD_H_
#define RINGLOG_TESTING_HARNESS_RUN_CHILD_H_

#include <sys/types.h>

#include <functional>
#include <string>

namespace ringlog {

// Forks a child that runs `body` and then exit(0).
pid_t StartChild(const std::function<void()>& body);

// Waits for its end; returns its status as waitpid(2) says it: 0 if all was
// well.
int AwaitChild(pid_t child);

// Both. What it and its children write to stderr is in `*err`; all of them have
// ended, or closed it, when this returns.
int RunChild(const std::function<void()>& body, std::string* err = nullptr);

// Whether the calling process has a thread of this name.
bool HasThread(const std::string& name);

// A pipe between the processes of a test: one waits until another is so far.
// Nothing is left open in a program that they exec.
class Signal {
 public:
  Signal();
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  void Send();
  // Ends the process if nobody is left who could send.
  void Await();
  // For a program that waits by reading its input, or tells by its output.
  int read_fd() const { return fds_[0]; }
  int write_fd() const { return fds_[1]; }

 private:
  int fds_[2];
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_RUN_CHILD_H_
