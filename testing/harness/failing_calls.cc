#include "ringlog/testing/harness/failing_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

namespace ringlog {

FailingCalls& FailingCalls::Get() {
  static auto* const calls = new FailingCalls;
  return *calls;
}

void FailingCalls::Set(AtCall at_call) {
  absl::MutexLock lock(&mutex_);
  at_call_ = std::move(at_call);
}

bool FailingCalls::Fails(const std::string& call, int fd) {
  struct stat st = {};
  fstat(fd, &st);
  absl::MutexLock lock(&mutex_);
  const int error = at_call_ == nullptr ? 0 : at_call_(call, st.st_ino);
  is_half_ = error == kHalf;
  if (error > 0) errno = error;
  return error > 0;
}

}  // namespace ringlog

extern "C" {

ssize_t pwrite(int fd, const void* buf, size_t n, off_t offset) {
  if (ringlog::FailingCalls::Get().Fails("pwrite", fd)) return -1;
  if (ringlog::FailingCalls::Get().is_half()) n /= 2;
  return syscall(SYS_pwrite64, fd, buf, n, offset);
}

int ftruncate(int fd, off_t length) noexcept {
  if (ringlog::FailingCalls::Get().Fails("ftruncate", fd)) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, fd, length));
}

int unlink(const char* name) noexcept {
  if (ringlog::FailingCalls::Get().Fails("unlink", -1)) return -1;
  return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, name, 0));
}

int fchmod(int fd, mode_t mode) noexcept {
  if (ringlog::FailingCalls::Get().Fails("fchmod", fd)) return -1;
  return static_cast<int>(syscall(SYS_fchmod, fd, mode));
}

int fsync(int fd) {
  if (ringlog::FailingCalls::Get().Fails("fsync", fd)) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

int fdatasync(int fildes) {
  if (ringlog::FailingCalls::Get().Fails("fdatasync", fildes)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fildes));
}

}  // extern "C"
