#include "ringlog/testing/harness/stepped_process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace ringlog {
namespace {

constexpr int kFreeze = SIGUSR1;
constexpr int kBegin = SIGUSR2;
constexpr int kEnd = SIGURG;
constexpr int kSystemCallStop = SIGTRAP | 0x80;  // by PTRACE_O_TRACESYSGOOD

// Calls ptrace(2). A template, because glibc declares a type of its own for
// requests.
template <typename Request>
bool Trace(Request request, pid_t tid, intptr_t data = 0) {
  return ptrace(request, tid, nullptr, data) == 0;
}

// Returns true if the thread waits in futex(2).
bool IsWaiting(pid_t tid) {
  std::ifstream file(absl::StrCat("/proc/", tid, "/syscall"));
  // A thread that runs has a word there instead of a number.
  long number = -1;
  return file >> number && number == SYS_futex;
}

}  // namespace

void SteppedProcess::Freeze() { raise(kFreeze); }
void SteppedProcess::BeginSteps() { raise(kBegin); }
void SteppedProcess::EndSteps() { raise(kEnd); }

SteppedProcess::SteppedProcess(Thread thread, const std::function<void()>& body)
    : thread_(thread), main_(fork()) {
  if (main_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise(SIGSTOP);  // until the parent traces this process
    body();
    _exit(0);
  }
}

SteppedProcess::~SteppedProcess() { Kill(); }

void SteppedProcess::Kill() {
  if (main_ <= 0) return;
  kill(main_, SIGKILL);
  // The status of the first thread is reported last, after the end of the
  // others.
  int status;
  pid_t tid;
  do {
    tid = waitpid(-1, &status, __WALL);
  } while (tid > 0 || (tid < 0 && errno == EINTR));
  main_ = 0;
}

bool SteppedProcess::Fail(const std::string& error) {
  if (error_.empty()) error_ = error;
  return false;
}

SteppedProcess::Stop SteppedProcess::Wait() {
  Stop stop;
  int status;
  do {
    stop.tid = waitpid(-1, &status, __WALL);
  } while (stop.tid < 0 && errno == EINTR);
  if (stop.tid < 0) {
    Fail(absl::StrCat("waitpid: ", strerror(errno)));
  } else if (WIFSTOPPED(status)) {
    stop.signal = WSTOPSIG(status);
    stop.is_event = (status >> 16) != 0;
  } else {
    stop.ended = true;
    if (stop.tid == main_) {
      Fail(absl::StrCat("process ended before EndSteps(): status ", status));
    }
  }
  return stop;
}

// Runs the first thread until it stops by `signal`. Other threads run and may
// start meanwhile.
bool SteppedProcess::RunMainTo(int signal) {
  if (!Trace(PTRACE_CONT, main_)) {
    return Fail(absl::StrCat("PTRACE_CONT: ", strerror(errno)));
  }
  while (error_.empty()) {
    const Stop stop = Wait();
    if (!error_.empty()) break;
    if (stop.tid == main_ && !stop.is_event && stop.signal == signal) {
      return true;
    }
    if (stop.tid != main_ && stop.ended) {
      other_.reset();
      continue;
    }
    if (stop.tid != main_) other_ = stop.tid;
    const int deliver =
        stop.is_event || stop.signal == SIGCONT ? 0 : stop.signal;
    if (deliver == SIGSEGV || deliver == SIGABRT) {
      return Fail(absl::StrCat("process stopped: signal ", deliver));
    }
    Trace(PTRACE_CONT, stop.tid, deliver);
  }
  return false;
}

// Stops the other thread where it waits for work. At another place it could own
// a lock that the stepped thread needs. The first thread has stopped already,
// and owns no lock.
bool SteppedProcess::FreezeOther() {
  if (!other_) return true;
  for (;;) {
    while (!IsWaiting(*other_)) {
      int status;
      if (waitpid(*other_, &status, __WALL | WNOHANG) != 0) {
        return Fail("the other thread stopped or ended in Freeze()");
      }
    }
    if (!Trace(PTRACE_INTERRUPT, *other_)) {
      return Fail(absl::StrCat("PTRACE_INTERRUPT: ", strerror(errno)));
    }
    const Stop stop = Wait();
    if (!error_.empty()) return false;
    if (stop.tid != *other_) return Fail("another thread stopped");
    if (stop.ended) return Fail("stepped thread ended");
    if (IsWaiting(*other_)) return true;
    Trace(PTRACE_CONT, *other_);
  }
}

bool SteppedProcess::Start() {
  int status;
  if (main_ < 0 || waitpid(main_, &status, WUNTRACED) != main_) {
    return Fail(absl::StrCat("fork: ", strerror(errno)));
  }
  if (!Trace(PTRACE_SEIZE, main_,
             PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD)) {
    return Fail(absl::StrCat("PTRACE_SEIZE: ", strerror(errno)));
  }
  kill(main_, SIGCONT);
  const Stop stop = Wait();
  if (!error_.empty()) return false;
  if (stop.tid != main_) return Fail("wait: another process stopped");
  if (!RunMainTo(kFreeze) || !FreezeOther() || !RunMainTo(kBegin)) return false;
  if (thread_ == Thread::kMain) return true;
  if (!other_) return Fail("find the stepped thread: no second thread");
  if (!Trace(PTRACE_CONT, main_)) return Fail("PTRACE_CONT: thread has ended");
  return true;
}

pid_t SteppedProcess::tid() const {
  return thread_ == Thread::kMain ? main_ : other_.value_or(0);
}

// Runs one instruction, or runs to the next entry or exit of a system call, or
// to EndSteps(). Returns false at EndSteps().
bool SteppedProcess::Resume(Next next) {
  const pid_t stepped = tid();
  const bool is_resumed =
      next == Next::kInstruction  ? Trace(PTRACE_SINGLESTEP, stepped)
      : next == Next::kSystemCall ? Trace(PTRACE_SYSCALL, stepped)
                                  : Trace(PTRACE_CONT, stepped);
  if (stepped != 0 && !is_resumed) {
    return Fail(absl::StrCat("ptrace: ", strerror(errno)));
  }
  for (;;) {
    const Stop stop = Wait();
    if (!error_.empty()) return false;
    if (stop.tid == main_ && !stop.is_event && stop.signal == kEnd) {
      return false;
    }
    if (stop.ended) {
      other_.reset();  // the first thread continues to EndSteps()
    } else if (stop.tid == stepped && next != Next::kEnd &&
               stop.signal ==
                   (next == Next::kSystemCall ? kSystemCallStop : SIGTRAP)) {
      return true;
    } else {
      return Fail(
          absl::StrCat("thread ", stop.tid, " stopped: signal ", stop.signal));
    }
  }
}

bool SteppedProcess::Step() { return Resume(Next::kInstruction); }

bool SteppedProcess::RunToEnd() {
  return !Resume(Next::kEnd) && error_.empty();
}

#ifdef __x86_64__

namespace {

template <typename Change>
void ChangeRegisters(pid_t tid, Change change) {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, nullptr, &registers) != 0) return;
  change(&registers);
  ptrace(PTRACE_SETREGS, tid, nullptr, &registers);
}

}  // namespace

bool SteppedProcess::made_system_call() const {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid(), nullptr, &registers) != 0) return true;
  // The syscall instruction stores its return address in rcx.
  return registers.rcx == registers.rip;
}

std::optional<uint64_t> SteppedProcess::NextSystemCall() {
  if (in_system_call_) {
    in_system_call_ = false;
    if (!Resume(Next::kSystemCall)) return std::nullopt;
    if (injected_error_) {
      ChangeRegisters(tid(), [this](user_regs_struct* registers) {
        registers->rax = static_cast<uint64_t>(-int64_t{*injected_error_});
      });
      injected_error_.reset();
    }
  }
  if (!Resume(Next::kSystemCall)) return std::nullopt;
  in_system_call_ = true;
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid(), nullptr, &registers) != 0) {
    Fail(absl::StrCat("PTRACE_GETREGS: ", strerror(errno)));
    return std::nullopt;
  }
  return registers.orig_rax;
}

void SteppedProcess::FailSystemCall(int error) {
  ChangeRegisters(tid(), [](user_regs_struct* registers) {
    registers->orig_rax = ~uint64_t{0};  // not the number of any system call
  });
  injected_error_ = error;
}

void SteppedProcess::HalveSystemCall() {
  ChangeRegisters(tid(), [](user_regs_struct* registers) {
    registers->rdx = (registers->rdx + 1) / 2;
  });
}

#else

bool SteppedProcess::made_system_call() const { return true; }
std::optional<uint64_t> SteppedProcess::NextSystemCall() {
  Fail("step by system call: only supported on x86-64");
  return std::nullopt;
}
void SteppedProcess::FailSystemCall(int /*error*/) {}
void SteppedProcess::HalveSystemCall() {}

#endif

}  // namespace ringlog
