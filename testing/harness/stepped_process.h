// SteppedProcess
//
// A process that goes one machine instruction at a time, so that a test can
// look at what it leaves behind after each of them, or kill it there; or one
// system call at a time, so that a test can let it fail.

#ifndef RINGLOG_TESTING_HARNESS_STEPPED_PROCESS_H_
#define RINGLOG_TESTING_HARNESS_STEPPED_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace ringlog {

// Not thread-safe. The caller must have no other children meanwhile.
class SteppedProcess {
 public:
  // Which thread goes step by step. kMain: the one that the process begins
  // with; others wait meanwhile. kOther: the only other one; the first goes on
  // freely.
  enum class Thread { kMain, kOther };

  // Forks. The child runs `body`, which calls, in this order:
  //   Freeze()      the other threads stop where they are
  //   BeginSteps()  from here on the thread is stepped
  //   EndSteps()    Step() returns false
  // and should not return before. Nothing has run yet when this returns.
  SteppedProcess(Thread thread, const std::function<void()>& body);
  // Kill().
  ~SteppedProcess();
  SteppedProcess(const SteppedProcess&) = delete;
  SteppedProcess& operator=(const SteppedProcess&) = delete;

  static void Freeze();
  static void BeginSteps();
  static void EndSteps();

  // Runs to BeginSteps(). False if the system does not allow that, or if the
  // body went wrong; error() says so.
  bool Start();
  // One instruction. False when the process has come to EndSteps(), or on an
  // error().
  bool Step();
  // Whether the last instruction was a system call; true if that is not known.
  bool made_system_call() const;
  const std::string& error() const { return error_; }

  // Runs to the next system call; its number, nothing when the process has come
  // to EndSteps(), or on an error(). The kernel has not seen it yet, and will
  // when this is called again. x86-64 alone. Not to be mixed with Step().
  std::optional<uint64_t> NextSystemCall();
  // It is not done, and fails with the errno `error`.
  void FailSystemCall(int error);
  // It is done with half of its third argument: for write(2) and its like.
  void HalveSystemCall();

  // SIGKILL, and waits until all of the process is gone.
  void Kill();

 private:
  // What stopped, and by which signal; a thread that ended has none.
  struct Stop {
    pid_t tid = 0;
    int signal = 0;
    bool ended = false;
    bool is_event = false;
  };
  Stop Wait();
  pid_t tid() const;
  bool Resume(bool to_system_call);
  bool RunMainTo(int signal);
  bool FreezeOther();
  bool Fail(const std::string& what);

  const Thread thread_;
  pid_t main_ = 0;
  std::optional<pid_t> other_;
  bool in_system_call_ = false;
  std::optional<int> injected_error_;
  std::string error_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_STEPPED_PROCESS_H_
