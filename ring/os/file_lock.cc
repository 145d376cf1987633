#include "ringlog/ring/os/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace ringlog {
namespace {

// Calls fcntl(2) with a lock of the whole file.
int LockCall(int fd, int command, short type, struct flock* lock) {
  *lock = {};
  lock->l_type = type;
  lock->l_whence = SEEK_SET;
  int result;
  do {
    result = fcntl(fd, command, lock);
  } while (result != 0 && errno == EINTR);
  return result;
}

absl::Status LockError(int error, absl::string_view path) {
  absl::Status status = absl::ErrnoToStatus(error, absl::StrCat("lock ", path));
  if (error == EAGAIN || error == EACCES) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": in use by another process"));
  }
  if (error == ENOSYS || error == ENOLCK || error == EOPNOTSUPP ||
      error == EINVAL) {
    return absl::UnimplementedError(status.message());
  }
  // FailedPrecondition means that the file is in use, and nothing else.
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::UnavailableError(status.message());
}

}  // namespace

absl::Status LockFile(int fd, absl::string_view path) {
  struct flock lock;
  if (LockCall(fd, F_OFD_SETLK, F_WRLCK, &lock) == 0) return absl::OkStatus();
  return LockError(errno, path);
}

absl::StatusOr<bool> IsLocked(int fd, absl::string_view path) {
  struct flock lock;
  if (LockCall(fd, F_OFD_GETLK, F_RDLCK, &lock) != 0) {
    return LockError(errno, path);
  }
  return lock.l_type != F_UNLCK;
}

void UnlockFile(int fd) {
  struct flock lock;
  LockCall(fd, F_OFD_SETLK, F_UNLCK, &lock);
}

}  // namespace ringlog
