#include "ringlog/ring/os/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// Reads a short file of /proc. Errors are those of open(2) and read(2).
absl::StatusOr<std::string> ReadProcFile(const char* path) {
  const ForkClosedFile file = ForkClosedFile::Open(path, O_RDONLY);
  if (file.fd() < 0) return FileStatus(errno, path);
  char buffer[4096];
  const ssize_t bytes = read(file.fd(), buffer, sizeof buffer);
  if (bytes < 0) return FileStatus(errno, path);
  return std::string(buffer, static_cast<size_t>(bytes));
}

// Returns true if stat(2) may report `owner` for files of several users. It
// does so for the overflow id (user_namespaces(7)) if the process is in a user
// namespace that does not map each user. A new namespace maps none: its map is
// empty. Without the file, the kernel has no user namespaces, or /proc is not
// mounted; after another error, for example for lack of descriptors, the map
// counts as incomplete.
bool MayStandForSeveral(uid_t owner) {
  uint32_t overflow = 65534;
  const absl::StatusOr<std::string> text =
      ReadProcFile("/proc/sys/kernel/overflowuid");
  if (!text.ok() || !absl::SimpleAtoi(*text, &overflow)) overflow = 65534;
  if (owner != overflow) return false;
  const absl::StatusOr<std::string> map = ReadProcFile("/proc/self/uid_map");
  if (!map.ok()) return !absl::IsNotFound(map.status());
  const std::vector<std::string> fields =
      absl::StrSplit(*map, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  return fields != std::vector<std::string>{"0", "0", "4294967295"};
}

// Returns a new name for a file that exists for a moment.
std::string RandomName(absl::string_view purpose) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) random = 0;
  return absl::StrCat(".ringlog.", purpose, ".", getpid(), ".",
                      absl::Hex(random, absl::kZeroPad16));
}

// Copies the bytes and the mode of `from` to the empty file `to`, and syncs it.
// Blocks of zeros become holes, as they may be in `from`.
absl::Status CopyContent(int from, int to, absl::string_view path) {
  const auto failed = [&path](absl::string_view operation) {
    return FileStatus(errno, absl::StrCat(operation, " ", path));
  };
  struct stat st;
  if (fstat(from, &st) != 0) return failed("stat the origin of");
  std::string chunk(64 << 10, '\0');
  off_t at = 0;
  while (true) {
    const ssize_t got = pread(from, chunk.data(), chunk.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read the origin of");
    if (got == 0) break;
    const absl::string_view bytes(chunk.data(), static_cast<size_t>(got));
    ssize_t done = got;
    if (bytes.find_first_not_of('\0') != absl::string_view::npos) {
      done = pwrite(to, bytes.data(), bytes.size(), at);
    }
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return failed("write to");
    at += done;
  }
  if (ftruncate(to, at) != 0) return failed("set the size of");
  if (fchmod(to, st.st_mode & ALLPERMS) != 0) return failed("set the mode of");
  if (fsync(to) != 0) return failed("fsync");
  return absl::OkStatus();
}

absl::Status NotOwn(absl::string_view path, absl::string_view cause) {
  return absl::PermissionDeniedError(absl::StrCat(path, ": ", cause));
}

absl::Status NamespaceHidesOwners(absl::string_view path) {
  return absl::UnavailableError(
      absl::StrCat(path,
                   ": the user namespace does not show whose the files are; "
                   "map the user id of this process"));
}

}  // namespace

absl::StatusOr<Directory> Directory::Open(const std::string& path, int flags) {
  absl::StatusOr<ForkClosedFile> file =
      OpenTrustedDirectory(path, O_RDONLY | flags);
  if (!file.ok()) return file.status();
  return Directory(path, *std::move(file));
}

std::string Directory::PathOf(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

ForkClosedFile Directory::OpenFile(const std::string& name, int flags,
                                   mode_t mode) const {
  return ForkClosedFile::OpenAt(file_.OwnFd(), name,
                                flags | O_NOFOLLOW | O_NONBLOCK, mode);
}

absl::StatusOr<Directory> Directory::OpenDirectory(
    const std::string& name) const {
  ForkClosedFile file = OpenFile(name, O_RDONLY | O_DIRECTORY);
  const std::string path = PathOf(name);
  if (file.fd() < 0) return FileStatus(errno, absl::StrCat("open ", path));
  return Directory(path, std::move(file));
}

absl::Status Directory::MakeDirectory(const std::string& name,
                                      mode_t mode) const {
  if (mkdirat(file_.OwnFd(), name.c_str(), mode) == 0) return absl::OkStatus();
  return FileStatus(errno, absl::StrCat("make ", PathOf(name)));
}

absl::Status Directory::DeleteDirectory(const std::string& name) const {
  if (unlinkat(file_.OwnFd(), name.c_str(), AT_REMOVEDIR) == 0 ||
      errno == ENOENT) {
    return absl::OkStatus();
  }
  return FileStatus(errno, absl::StrCat("delete ", PathOf(name)));
}

absl::StatusOr<struct stat> Directory::Stat() const {
  struct stat st;
  if (fstat(file_.OwnFd(), &st) == 0) return st;
  return FileStatus(errno, absl::StrCat("stat ", path_));
}

std::string Directory::DescriptorPath() const {
  return absl::StrCat("/proc/self/fd/", file_.fd());
}

absl::StatusOr<struct stat> Directory::Stat(const std::string& name) const {
  struct stat st;
  if (fstatat(file_.OwnFd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return FileStatus(errno, absl::StrCat("stat ", PathOf(name)));
  }
  return st;
}

bool Directory::Names(const std::string& name, int fd) const {
  struct stat named;
  struct stat open;
  return fstatat(file_.OwnFd(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) ==
             0 &&
         fstat(fd, &open) == 0 && named.st_dev == open.st_dev &&
         named.st_ino == open.st_ino;
}

absl::StatusOr<std::vector<std::string>> Directory::List() const {
  // A descriptor of its own, because readdir(3) moves its offset.
  const int fd = openat(file_.OwnFd(), ".",
                        O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
  DIR* const directory = fd < 0 ? nullptr : fdopendir(fd);
  if (directory == nullptr) {
    const absl::Status status = FileStatus(errno, absl::StrCat("open ", path_));
    if (fd >= 0) close(fd);
    return status;
  }
  auto close_directory = absl::MakeCleanup([&] { closedir(directory); });
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    names.push_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return FileStatus(errno, absl::StrCat("read ", path_));
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status Directory::Delete(const std::string& name) const {
  if (unlinkat(file_.OwnFd(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return FileStatus(errno, absl::StrCat("delete ", PathOf(name)));
}

absl::Status Directory::Rename(const std::string& from,
                               const std::string& to) const {
  if (renameat(file_.OwnFd(), from.c_str(), file_.OwnFd(), to.c_str()) == 0) {
    return absl::OkStatus();
  }
  return FileStatus(errno, absl::StrCat("rename to ", PathOf(to)));
}

absl::StatusOr<ForkClosedFile> Directory::ReplaceByCopy(const std::string& name,
                                                        int fd) const {
  const std::string copy_name = RandomName("copy");
  ForkClosedFile copy = OpenFile(copy_name, O_RDWR | O_CREAT | O_EXCL, 0600);
  const std::string path = PathOf(copy_name);
  if (copy.fd() < 0) return FileStatus(errno, absl::StrCat("create ", path));
  auto remove_copy = absl::MakeCleanup(
      [this, &copy_name] { Delete(copy_name).IgnoreError(); });
  if (absl::Status s = LockFile(copy.fd(), path); !s.ok()) return s;
  if (absl::Status s = CopyContent(fd, copy.fd(), path); !s.ok()) return s;
  if (!Names(name, fd)) {
    return absl::NotFoundError(
        absl::StrCat(PathOf(name), ": was deleted or replaced"));
  }
  if (absl::Status s = Rename(copy_name, name); !s.ok()) return s;
  std::move(remove_copy).Cancel();
  return copy;
}

absl::Status Directory::RenameInto(const Directory& target,
                                   const std::string& name) const {
  if (renameat(file_.OwnFd(), name.c_str(), target.file_.OwnFd(),
               name.c_str()) == 0) {
    return absl::OkStatus();
  }
  return FileStatus(errno, absl::StrCat("rename to ", target.PathOf(name)));
}

absl::Status Directory::Sync() const {
  if (fsync(file_.OwnFd()) == 0) return absl::OkStatus();
  return FileStatus(errno, absl::StrCat("fsync ", path_));
}

absl::StatusOr<uid_t> Directory::OwnerOfNewFile() const {
  ForkClosedFile file =
      ForkClosedFile::OpenAt(file_.OwnFd(), ".", O_TMPFILE | O_RDWR, 0600);
  if (file.fd() < 0) {
    // The file system cannot make files without a name.
    const std::string name = RandomName("owner");
    file = OpenFile(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file.fd() < 0) {
      return FileStatus(errno, absl::StrCat("create ", PathOf(name)));
    }
    if (absl::Status s = Delete(name); !s.ok()) return s;
  }
  struct stat st;
  if (fstat(file.fd(), &st) != 0) {
    return FileStatus(errno, absl::StrCat("stat a new file in ", path_));
  }
  return st.st_uid;
}

absl::StatusOr<uid_t> Directory::OwnOwner() {
  const uid_t user = geteuid();
  if (!owner_.has_value() || owner_->for_user != user) {
    const absl::StatusOr<uid_t> owner = OwnerOfNewFile();
    if (!owner.ok()) {
      // A full disk must not hide the namespace: callers may go by geteuid().
      return MayStandForSeveral(user) ? NamespaceHidesOwners(path_)
                                      : ProvesNothing(owner.status());
    }
    owner_ = Owner{user, *owner};
  }
  if (MayStandForSeveral(owner_->owner)) return NamespaceHidesOwners(path_);
  return owner_->owner;
}

absl::Status Directory::CheckIsOwn(int fd, absl::string_view name,
                                   mode_t permitted) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return ProvesNothing(
        FileStatus(errno, absl::StrCat("stat ", PathOf(name))));
  }
  const std::string path = PathOf(name);
  if (!S_ISREG(st.st_mode)) return NotOwn(path, "not a regular file");
  const absl::StatusOr<uid_t> owner = OwnOwner();
  if (!owner.ok()) return owner.status();
  if (st.st_uid != *owner) {
    return NotOwn(
        path, absl::StrCat("belongs to user ", st.st_uid,
                           ", and this process makes files of user ", *owner));
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH) & ~permitted) != 0) {
    return NotOwn(path, "other users may write to it");
  }
  return absl::OkStatus();
}

}  // namespace ringlog
