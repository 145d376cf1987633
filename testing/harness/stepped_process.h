// SteppedProcess
//
// A process that a test runs one machine instruction or one system call at a
// time, by ptrace(2). After each step the test can inspect the files of the
// process, kill it, or let a system call fail.

#ifndef RINGLOG_TESTING_HARNESS_STEPPED_PROCESS_H_
#define RINGLOG_TESTING_HARNESS_STEPPED_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace ringlog {

// Not thread-safe. The calling process must have no other children during the
// life of this object.
class SteppedProcess {
 public:
  // The thread that is stepped.
  //   - kMain: the first thread of the process. The other one stays stopped.
  //   - kOther: the only other thread. The first thread runs freely.
  enum class Thread { kMain, kOther };

  // Forks. The child runs `body`, which must call in this order:
  //
  //     Freeze()      stops the other thread as soon as it waits for work
  //     BeginSteps()  the first step begins here
  //     EndSteps()    Step() returns false
  //
  // `body` should not return before EndSteps(). When the constructor returns,
  // no code of `body` has run yet.
  SteppedProcess(Thread thread, const std::function<void()>& body);
  // Calls Kill().
  ~SteppedProcess();
  SteppedProcess(const SteppedProcess&) = delete;
  SteppedProcess& operator=(const SteppedProcess&) = delete;

  static void Freeze();
  static void BeginSteps();
  static void EndSteps();

  // Runs the process to BeginSteps(). Returns false if ptrace(2) is not
  // permitted or if `body` fails; error() has the reason.
  bool Start();
  // Runs one instruction. Returns false if the process has reached EndSteps(),
  // or if error() is set.
  bool Step();
  // Returns whether the last instruction was a system call; true if this is
  // unknown.
  bool made_system_call() const;
  const std::string& error() const { return error_; }

  // Runs to the entry of the next system call and returns its number. Returns
  // nothing if the process has reached EndSteps(), or if error() is set. The
  // kernel executes the call during the next NextSystemCall(). Only on x86-64.
  // Requires: Step() is not used on the same process.
  std::optional<uint64_t> NextSystemCall();
  // Prevents the pending system call; it returns the error `error`, an errno.
  void FailSystemCall(int error);
  // Halves the third argument of the pending system call, which is the number
  // of bytes of write(2) and pwrite(2).
  void HalveSystemCall();

  // Runs to EndSteps() without a stop. Returns true if it was reached;
  // otherwise error() is set. Requires: no system call is about to fail.
  bool RunToEnd();

  // Sends SIGKILL and waits until all threads of the process have ended.
  void Kill();

 private:
  // A stop or the end of a thread. `signal` is 0 if the thread has ended.
  struct Stop {
    pid_t tid = 0;
    int signal = 0;
    bool ended = false;
    bool is_event = false;
  };
  Stop Wait();
  pid_t tid() const;
  enum class Next { kInstruction, kSystemCall, kEnd };
  bool Resume(Next next);
  bool RunMainTo(int signal);
  bool FreezeOther();
  bool Fail(const std::string& error);

  const Thread thread_;
  pid_t main_ = 0;
  std::optional<pid_t> other_;
  bool in_system_call_ = false;
  std::optional<int> injected_error_;
  std::string error_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_STEPPED_PROCESS_H_
