#include "ringlog/ring/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

// Linux 5.14; the C library of older systems does not name it.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace ringlog {
namespace {

absl::Status Error(int error, absl::string_view attempted,
                   const std::string& path) {
  absl::Status status =
      absl::ErrnoToStatus(error, absl::StrCat(attempted, " ", path));
  // No disk, no quota, a limit and no descriptors are one kind of trouble for
  // callers.
  if (error == ENOSPC || error == EDQUOT || error == EMFILE ||
      error == ENFILE || error == ENOMEM || error == EFBIG) {
    return absl::ResourceExhaustedError(status.message());
  }
  return status;
}

absl::Status Allocate(int fd, size_t size, const std::string& path) {
  // Beyond this limit the kernel does not only refuse: it sends SIGXFSZ, which
  // ends the process.
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < size) {
    return Error(EFBIG, absl::StrCat("allocate ", size, " bytes for"), path);
  }
  int error;
  do {
    error = posix_fallocate(fd, 0, static_cast<off_t>(size));
  } while (error == EINTR);
  if (error != 0) {
    return Error(error, absl::StrCat("allocate ", size, " bytes for"), path);
  }
  // Allocated blocks are not yet pages: without this the first turn of the ring
  // would fault at each page.
  const std::vector<char> zeros(std::min<size_t>(size, 1 << 20));
  for (size_t done = 0; done < size;) {
    const ssize_t n =
        pwrite(fd, zeros.data(), std::min(zeros.size(), size - done),
               static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error(n < 0 ? errno : EIO, "write zeros to", path);
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::StatusOr<MappedFile::Bytes> Map(int fd, size_t size,
                                      const std::string& path) {
  // Shared also without a file: a forked child logs to its parent.
  const int kind = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  void* const p = mmap(nullptr, size, PROT_READ | PROT_WRITE, kind, fd, 0);
  if (p == MAP_FAILED) {
    return Error(errno, absl::StrCat("map ", size, " bytes of"), path);
  }
  return MappedFile::Bytes(static_cast<unsigned char*>(p), size);
}

// Makes the pages present and writable. Advice only: where the kernel cannot,
// the stores will fault one by one, as everywhere.
absl::Status Populate(MappedFile::Bytes bytes, const std::string& path) {
  while (madvise(bytes.data(), bytes.size(), MADV_POPULATE_WRITE) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    // What would have been a SIGBUS later.
    if (errno == EFAULT || errno == ENOMEM) {
      return Error(ENOSPC, "make pages writable of", path);
    }
    break;
  }
  return absl::OkStatus();
}

// To `path`, unless that exists.
absl::Status Rename(const std::string& from, const std::string& path) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(),
                RENAME_NOREPLACE) == 0) {
    return absl::OkStatus();
  }
  // Not every file system knows the flag.
  if (errno == EINVAL && link(from.c_str(), path.c_str()) == 0) {
    unlink(from.c_str());
    return absl::OkStatus();
  }
  return Error(errno, "rename to", path);
}

// A new file, and its lock. Between the two calls another process may take the
// file for one that a dead process has left, and delete it: then it is made
// again.
absl::StatusOr<int> CreateLocked(const std::string& path) {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int fd = open(
        path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return Error(errno, "create", path);
    if (TryLock(fd) && !IsDeleted(fd)) return fd;
    close(fd);
  }
  return absl::AlreadyExistsError(absl::StrCat("create ", path));
}

}  // namespace

bool TryLock(int fd) {
  int result;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

bool IsDeleted(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

absl::StatusOr<MappedFile> MappedFile::Create(
    const std::string& path, size_t size,
    const std::function<void(Bytes)>& initialize) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  const absl::StatusOr<int> created = CreateLocked(temporary);
  if (!created.ok()) return created.status();
  const int fd = *created;
  // From here on the file goes again, whatever fails.
  auto remove_file = absl::MakeCleanup([&] {
    unlink(temporary.c_str());
    close(fd);
  });
  if (absl::Status s = Allocate(fd, size, temporary); !s.ok()) return s;
  absl::StatusOr<Bytes> bytes = Map(fd, size, temporary);
  if (!bytes.ok()) return bytes.status();
  auto unmap = absl::MakeCleanup([&] { munmap(bytes->data(), size); });
  if (absl::Status s = Populate(*bytes, temporary); !s.ok()) return s;
  initialize(*bytes);
  if (absl::Status s = Rename(temporary, path); !s.ok()) return s;
  std::move(unmap).Cancel();
  std::move(remove_file).Cancel();
  return MappedFile(fd, *bytes, path);
}

absl::StatusOr<MappedFile> MappedFile::CreateAnonymous(
    size_t size, const std::function<void(Bytes)>& initialize) {
  absl::StatusOr<Bytes> bytes = Map(-1, size, "anonymous memory");
  if (!bytes.ok()) return bytes.status();
  MappedFile file(-1, *bytes, "anonymous memory");
  if (absl::Status s = Populate(*bytes, file.path_); !s.ok()) return s;
  initialize(*bytes);
  return file;
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return Error(errno, "open", path);
  auto close_file = absl::MakeCleanup([fd] { close(fd); });
  if (!TryLock(fd)) {
    return absl::FailedPreconditionError(
        absl::StrCat("open ", path, ": another process or ring has it open"));
  }
  if (IsDeleted(fd)) return Error(ENOENT, "open", path);
  struct stat st;
  if (fstat(fd, &st) != 0) return Error(errno, "stat", path);
  if (st.st_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat("open ", path, ": empty"));
  }
  absl::StatusOr<Bytes> bytes = Map(fd, static_cast<size_t>(st.st_size), path);
  if (!bytes.ok()) return bytes.status();
  std::move(close_file).Cancel();
  return MappedFile(fd, *bytes, path);
}

MappedFile::MappedFile(int fd, Bytes bytes, std::string path)
    : fd_(fd), bytes_(bytes), path_(std::move(path)) {}

MappedFile::MappedFile(MappedFile&& other) noexcept {
  *this = std::move(other);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
  if (fd_ >= 0) close(fd_);
}

absl::Status MappedFile::Sync(bool wait) const {
  if (fd_ < 0 || bytes_.empty()) return absl::OkStatus();
  if (msync(bytes_.data(), bytes_.size(), wait ? MS_SYNC : MS_ASYNC) != 0) {
    return Error(errno, "msync", path_);
  }
  return absl::OkStatus();
}

}  // namespace ringlog
