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
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/file_identity.h"
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

// Begins of the names of files that exist for a moment.
constexpr absl::string_view kCopyPrefix = ".ringlog.copy.";
constexpr absl::string_view kProbePrefix = ".ringlog.owner.";

// Returns a new name that begins with `prefix`.
std::string RandomName(absl::string_view prefix) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) random = 0;
  return absl::StrCat(prefix, getpid(), ".",
                      absl::Hex(random, absl::kZeroPad16));
}

// Returns the offset of the first data of the file `fd` at or after `at`;
// st.st_size if there is none. If the system cannot tell, returns `at`.
off_t NextData(int fd, const struct stat& st, off_t at) {
  struct stat now;
  // lseek(2) would move the offset of another file that has the number by now.
  if (fstat(fd, &now) != 0 || FileIdentity::Of(now) != FileIdentity::Of(st)) {
    return at;
  }
  const off_t data = lseek(fd, at, SEEK_DATA);
  if (data >= 0) return data;
  return errno == ENXIO ? st.st_size : at;
}

// Copies the data of `from`, which has the inode `st`, to the empty file `to`.
// Holes stay holes. The errors name `path`, the file `to`.
absl::Status CopyData(int from, const struct stat& st, int to,
                      absl::string_view path) {
  const auto failed = [&path](absl::string_view operation, int error) {
    return FileStatus(error, absl::StrCat(operation, " ", path));
  };
  // Some versions of ZFS report a hole for bytes that were just written.
  fsync(from);
  std::string chunk(64 << 10, '\0');
  off_t end = st.st_size;
  for (off_t at = 0; (at = NextData(from, st, at)) < end;) {
    const size_t wanted = static_cast<size_t>(
        std::min(end - at, static_cast<off_t>(chunk.size())));
    const ssize_t got = pread(from, chunk.data(), wanted, at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read the origin of", errno);
    if (got == 0) end = at;
    const ssize_t done = pwrite(to, chunk.data(), static_cast<size_t>(got), at);
    if (done < 0 && errno == EINTR) continue;
    // A write of 0 bytes without an error must not be repeated forever.
    if (done < 0 || (done == 0 && got > 0)) {
      return failed("write to", done < 0 ? errno : EIO);
    }
    at += done;
  }
  if (ftruncate(to, end) != 0) return failed("set the size of", errno);
  return absl::OkStatus();
}

// Copies the bytes and the mode of `from` to the empty file `to`, and syncs it.
// If the files have different groups, the group of `to` gets no rights.
absl::Status CopyContent(int from, int to, absl::string_view path) {
  const auto failed = [&path](absl::string_view operation) {
    return FileStatus(errno, absl::StrCat(operation, " ", path));
  };
  struct stat st;
  struct stat copy;
  if (fstat(from, &st) != 0) return failed("stat the origin of");
  if (fstat(to, &copy) != 0) return failed("stat");
  if (absl::Status s = CopyData(from, st, to, path); !s.ok()) return s;
  mode_t mode = st.st_mode & ALLPERMS;
  if (copy.st_gid != st.st_gid) mode &= ~static_cast<mode_t>(S_IRWXG);
  if (fchmod(to, mode) != 0) return failed("set the mode of");
  if (fsync(to) != 0) return failed("fsync");
  return absl::OkStatus();
}

constexpr mode_t kForeignWrite = S_IWGRP | S_IWOTH;

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
  return ringlog::DescriptorPath(file_.fd());
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
         fstat(fd, &open) == 0 &&
         FileIdentity::Of(named) == FileIdentity::Of(open);
}

absl::StatusOr<std::vector<std::string>> Directory::List() const {
  return List([](const std::string&) { return true; });
}

absl::StatusOr<std::vector<std::string>> Directory::List(
    absl::FunctionRef<bool(const std::string&)> keeps) const {
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
  std::string name;
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    name = entry->d_name;
    if (keeps(name)) names.push_back(name);
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

std::string Directory::NewTemporaryName() { return RandomName(kCopyPrefix); }

absl::Status Directory::RenameToNew(const std::string& from,
                                    const std::string& to) const {
  if (ringlog::RenameToNew(file_.OwnFd(), from, to)) return absl::OkStatus();
  return FileStatus(errno, absl::StrCat("rename to ", PathOf(to)));
}

absl::StatusOr<ForkClosedFile> Directory::ReplaceByCopy(const std::string& name,
                                                        int fd) const {
  const std::string copy_name = NewTemporaryName();
  ForkClosedFile copy = OpenFile(copy_name, O_RDWR | O_CREAT | O_EXCL, 0600);
  const std::string path = PathOf(copy_name);
  if (copy.fd() < 0) return FileStatus(errno, absl::StrCat("create ", path));
  // Not Delete(): without memory for its error, a clean-up during an exception
  // would end the process.
  auto remove_copy =
      absl::MakeCleanup([&] { unlinkat(file_.OwnFd(), copy_name.c_str(), 0); });
  if (absl::Status s = LockFile(copy.fd(), path); !s.ok()) return s;
  // Before it was locked, DeleteIfStale() of another process may have taken it
  // for the copy of a dead one.
  if (!Names(copy_name, copy.fd())) {
    return absl::UnavailableError(absl::StrCat(path, ": was deleted"));
  }
  if (absl::Status s = CopyContent(fd, copy.fd(), path); !s.ok()) return s;
  if (!Names(name, fd)) {
    return absl::NotFoundError(
        absl::StrCat(PathOf(name), ": was deleted or replaced"));
  }
  if (absl::Status s = Rename(copy_name, name); !s.ok()) return s;
  std::move(remove_copy).Cancel();
  return copy;
}

void Directory::DeleteIfStale(const std::string& name) {
  const bool is_copy = absl::StartsWith(name, kCopyPrefix);
  if (!is_copy && !absl::StartsWith(name, kProbePrefix)) return;
  const ForkClosedFile file = OpenFile(name, O_RDWR);
  if (file.fd() < 0) return;
  // A copy may have the mode of its origin.
  if (!CheckIsOwn(file.fd(), name, ACCESSPERMS).ok()) return;
  // A living process holds the lock of its copy. The name of its probe is of no
  // use to it.
  if (is_copy && !LockFile(file.fd(), PathOf(name)).ok()) return;
  if (Names(name, file.fd())) Delete(name).IgnoreError();
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

absl::StatusOr<struct stat> Directory::StatOfNewFile() const {
  ForkClosedFile file =
      ForkClosedFile::OpenAt(file_.OwnFd(), ".", O_TMPFILE | O_RDWR, 0600);
  if (file.fd() < 0) {
    // The file system cannot make files without a name.
    const std::string name = RandomName(kProbePrefix);
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
  return st;
}

absl::StatusOr<uid_t> Directory::OwnOwner() {
  const uid_t user = geteuid();
  if (!owner_.has_value() || owner_->for_user != user) {
    const absl::StatusOr<struct stat> st = StatOfNewFile();
    if (!st.ok()) {
      // A full disk must not hide the namespace: callers may go by geteuid().
      return MayStandForSeveral(user) ? NamespaceHidesOwners(path_)
                                      : ProvesNothing(st.status());
    }
    owner_ = Owner{user, st->st_uid, st->st_mode & kForeignWrite};
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
  const mode_t writers = st.st_mode & kForeignWrite & ~permitted;
  if (writers == 0) return absl::OkStatus();
  if ((writers & ~owner_->forced) != 0) {
    return NotOwn(path, "other users may write to it");
  }
  return absl::UnavailableError(
      absl::StrCat(path,
                   ": the file system lets other users write to each file; "
                   "mount it with the option umask=077"));
}

}  // namespace ringlog
