#include "ringlog/ring/os/background_thread.h"

#include <errno.h>
#include <signal.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ringlog {
namespace {

void* Main(void* argument) {
  const std::unique_ptr<std::function<void()>> run(
      static_cast<std::function<void()>*>(argument));
  (*run)();
  return nullptr;
}

}  // namespace

absl::StatusOr<pthread_t> StartBackgroundThread(const char* name,
                                                std::function<void()> run) {
  auto argument = std::make_unique<std::function<void()>>(std::move(run));
  // The new thread inherits the mask.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // If a fault's signal were blocked, the fault would end the process without
  // the signal handler, and so without a crash report.
  for (const int fault :
       {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
    sigdelset(&all, fault);
  }
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, &Main, argument.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    const absl::Status status =
        absl::ErrnoToStatus(error, absl::StrCat("start thread ", name));
    return error == EAGAIN ? absl::ResourceExhaustedError(status.message())
                           : status;
  }
  static_cast<void>(argument.release());
  pthread_setname_np(thread, name);
  return thread;
}

}  // namespace ringlog
