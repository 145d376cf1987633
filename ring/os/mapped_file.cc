#include "ringlog/ring/os/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
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
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"

// Linux 5.14. Older C libraries do not define it.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace ringlog {
namespace {

absl::Status Error(int error, absl::string_view attempted,
                   const std::string& path) {
  absl::Status status =
      absl::ErrnoToStatus(error, absl::StrCat(attempted, " ", path));
  // To callers, a full disk, a quota, a limit and missing descriptors are the
  // same condition.
  if (error == ENOSPC || error == EDQUOT || error == EMFILE ||
      error == ENFILE || error == ENOMEM || error == EFBIG) {
    return absl::ResourceExhaustedError(status.message());
  }
  return status;
}

absl::Status Allocate(int fd, size_t size, const std::string& path) {
  // Beyond this limit the kernel does not only fail the call but also sends
  // SIGXFSZ, which ends the process.
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
  // Allocated blocks have no pages yet. Without this write, the first lap of
  // the ring would fault at each page.
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

absl::StatusOr<MappedFile::Bytes> Map(ForkClosedFile* file, size_t size,
                                      const std::string& path) {
  void* const p = file->Map(size);
  if (p == MAP_FAILED) {
    return Error(errno, absl::StrCat("map ", size, " bytes of"), path);
  }
  return MappedFile::Bytes(static_cast<unsigned char*>(p), size);
}

// Makes the pages present and writable. If the kernel does not support this,
// the stores fault one by one instead.
absl::Status Populate(MappedFile::Bytes bytes, const std::string& path) {
  while (madvise(bytes.data(), bytes.size(), MADV_POPULATE_WRITE) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    // A later store would cause SIGBUS.
    if (errno == EFAULT || errno == ENOMEM) {
      return Error(ENOSPC, "populate the pages of", path);
    }
    break;
  }
  return absl::OkStatus();
}

// The place of a new file: its directory, which is open, and its name there.
struct Place {
  int directory = -1;
  std::string name;
  std::string path;  // for messages

  Place Temporary() const { return {directory, name + ".tmp", path + ".tmp"}; }
  Place WithName(const std::string& other) const {
    return {directory, other, absl::StrCat(Dirname(path), "/", other)};
  }
  void Unlink() const { unlinkat(directory, name.c_str(), 0); }
};

// Opens the directory of the file `path`. O_PATH, because a process may create
// files in a directory that it may not read.
absl::StatusOr<ForkClosedFile> OpenDirectoryOf(const std::string& path) {
  return OpenTrustedDirectory(Dirname(path), O_PATH);
}

// Renames `from` to `to`, in the same directory, unless `to` exists.
absl::Status Rename(const Place& from, const Place& to) {
  if (RenameToNew(from.directory, from.name, to.name)) return absl::OkStatus();
  return Error(errno, "rename to", to.path);
}

// Checks that another process will see the lock of `file`: opens the file by
// its name, as that process will do, and asks for the lock.
absl::Status CheckLockShows(const ForkClosedFile& file, const Place& place) {
  const ForkClosedFile other = ForkClosedFile::OpenAt(
      place.directory, place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (other.fd() < 0) return Error(errno, "open", place.path);
  const absl::StatusOr<bool> is_locked = IsLocked(other.fd(), place.path);
  if (!is_locked.ok()) return is_locked.status();
  if (other.identity() == file.identity() && *is_locked) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat("lock ", place.path,
                   ": the file system does not show the lock to others"));
}

// Whatever the umask is, this process's user must be able to recover the file.
// Some file systems, such as FAT and CIFS, have one mode for all files. If that
// mode lets others write, recovery would take the ring for a forged one.
absl::Status MakePrivate(int fd, const std::string& path) {
  struct stat st;
  if (fchmod(fd, 0600) != 0 || fstat(fd, &st) != 0) {
    return Error(errno, "set the mode of", path);
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("set the mode of ", path,
                   ": the file system lets other users write to each file; "
                   "mount it with the option umask=077"));
}

// Creates and locks a file. Between the two steps another process may take the
// file for one of a dead process and delete it; then creates it again.
absl::StatusOr<ForkClosedFile> CreateLocked(const Place& place) {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ForkClosedFile file =
        ForkClosedFile::OpenAt(place.directory, place.name,
                               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (file.fd() < 0) {
      // The process that deleted the previous file may still use this name.
      if (errno != EEXIST || attempt == 0) {
        return Error(errno, "create", place.path);
      }
      sched_yield();
      continue;
    }
    if (absl::Status s = MakePrivate(file.fd(), place.path); !s.ok()) {
      place.Unlink();
      return s;
    }
    const absl::Status locked = LockFile(file.fd(), place.path);
    if (locked.ok() && !IsDeleted(file.fd())) return file;
    if (!locked.ok() && !absl::IsFailedPrecondition(locked)) {
      place.Unlink();
      return locked;
    }
  }
  return absl::AlreadyExistsError(absl::StrCat("create ", place.path));
}

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Create(
    const std::string& path, size_t size,
    const std::function<void(Bytes)>& initialize,
    const std::function<std::string(Bytes)>& initialize_again) {
  absl::StatusOr<ForkClosedFile> directory = OpenDirectoryOf(path);
  if (!directory.ok()) {
    return PrependPath(directory.status(), absl::StrCat("create ", path));
  }
  Place place = {directory->fd(), std::string(Basename(path)), path};
  const Place temporary = place.Temporary();
  absl::StatusOr<ForkClosedFile> file = CreateLocked(temporary);
  if (!file.ok()) return file.status();
  // From here on, every error removes the file.
  auto remove_file = absl::MakeCleanup([&] { temporary.Unlink(); });
  if (absl::Status s = Allocate(file->fd(), size, temporary.path); !s.ok()) {
    return s;
  }
  absl::StatusOr<Bytes> bytes = Map(&*file, size, temporary.path);
  if (!bytes.ok()) return bytes.status();
  if (absl::Status s = Populate(*bytes, temporary.path); !s.ok()) return s;
  initialize(*bytes);
  absl::Status renamed = Rename(temporary, place);
  if (absl::IsAlreadyExists(renamed) && initialize_again != nullptr) {
    place = place.WithName(initialize_again(*bytes));
    renamed = Rename(temporary, place);
  }
  if (!renamed.ok()) return renamed;
  std::move(remove_file).Cancel();
  if (absl::Status s = CheckLockShows(*file, place); !s.ok()) {
    place.Unlink();
    return s;
  }
  return MappedFile(*std::move(directory), *std::move(file), *bytes,
                    place.path);
}

absl::StatusOr<MappedFile> MappedFile::CreateAnonymous(
    size_t size, const std::function<void(Bytes)>& initialize) {
  const std::string path = "anonymous memory";
  ForkClosedFile file = ForkClosedFile::Anonymous();
  absl::StatusOr<Bytes> bytes = Map(&file, size, path);
  if (!bytes.ok()) return bytes.status();
  if (absl::Status s = Populate(*bytes, path); !s.ok()) return s;
  initialize(*bytes);
  return MappedFile(ForkClosedFile(), std::move(file), *bytes, path);
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  absl::StatusOr<ForkClosedFile> directory = OpenDirectoryOf(path);
  if (!directory.ok()) return directory.status();
  ForkClosedFile file = ForkClosedFile::OpenAt(
      directory->fd(), std::string(Basename(path)), O_RDWR | O_NOFOLLOW);
  if (file.fd() < 0) return Error(errno, "open", path);
  if (absl::Status s = LockFile(file.fd(), path); !s.ok()) return s;
  if (IsDeleted(file.fd())) return Error(ENOENT, "open", path);
  struct stat st;
  if (fstat(file.fd(), &st) != 0) return Error(errno, "stat", path);
  if (st.st_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat("open ", path, ": empty"));
  }
  absl::StatusOr<Bytes> bytes =
      Map(&file, static_cast<size_t>(st.st_size), path);
  if (!bytes.ok()) return bytes.status();
  return MappedFile(*std::move(directory), std::move(file), *bytes, path);
}

bool MappedFile::is_deleted() const { return IsDeleted(file_.OwnFd()); }

bool MappedFile::IsAtPath() const {
  if (file_.fd() < 0) return true;
  struct stat st;
  if (lstat(path_.c_str(), &st) != 0) {
    return errno != ENOENT && errno != ENOTDIR && errno != ELOOP;
  }
  return FileIdentity::Of(st) == file_.identity();
}

absl::Status MappedFile::Delete() const {
  if (file_.fd() < 0) return absl::OkStatus();
  // If the program has closed the descriptor of the directory, the path
  // remains.
  const int own = directory_.OwnFd();
  const int directory = own >= 0 ? own : AT_FDCWD;
  const std::string name = own >= 0 ? std::string(Basename(path_)) : path_;
  struct stat st;
  if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    if (FileIdentity::Of(st) != file_.identity()) return absl::OkStatus();
    if (unlinkat(directory, name.c_str(), 0) == 0) return absl::OkStatus();
  }
  if (errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
  return Error(errno, "delete", path_);
}

void MappedFile::Discard(size_t offset) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  if (begin >= bytes_.size()) return;
  const size_t bytes = bytes_.size() - begin;
  // Two steps, because a failed mmap(2) with MAP_FIXED may leave a hole.
  void* const zeros = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) return;
  if (mremap(zeros, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
             bytes_.data() + begin) == MAP_FAILED) {
    munmap(zeros, bytes);
  }
}

absl::Status MappedFile::Sync(bool wait) const {
  if (file_.fd() < 0) return absl::OkStatus();
  if (msync(bytes_.data(), bytes_.size(), wait ? MS_SYNC : MS_ASYNC) != 0) {
    return Error(errno, "msync", path_);
  }
  return absl::OkStatus();
}

}  // namespace ringlog
