#include "ringlog/ring/os/directory_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// As many as the kernel follows in a path.
constexpr int kMaxLinks = 40;

bool IsTrusted(uid_t owner) { return owner == 0 || owner == geteuid(); }

// Returns the path without slashes at its end, which would make lstat(2) follow
// a symlink.
std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

absl::Status Refused(absl::string_view attempted, absl::string_view path,
                     absl::string_view cause) {
  return absl::PermissionDeniedError(
      absl::StrCat(attempted, " ", path, ": ", cause));
}

// Returns OK if the symlink `path`, which is `st`, belongs to a trusted user or
// to the owner of its directory.
absl::Status CheckLink(const std::string& path, const struct stat& st) {
  struct stat parent;
  if (IsTrusted(st.st_uid) || (stat(Dirname(path).c_str(), &parent) == 0 &&
                               st.st_uid == parent.st_uid)) {
    return absl::OkStatus();
  }
  return Refused(
      "open", path,
      absl::StrCat("a symlink of user ", st.st_uid,
                   ", who can point it elsewhere; run: chown -h ", geteuid(),
                   " ", path, ", or use another directory"));
}

// Returns the path to which the open symlink `link` at `path` points.
absl::StatusOr<std::string> TargetOf(int link, const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlinkat(link, "", target, sizeof target);
  if (length < 0) return FileStatus(errno, absl::StrCat("read link ", path));
  const std::string named(target, static_cast<size_t>(length));
  if (absl::StartsWith(named, "/")) return named;
  return absl::StrCat(Dirname(path), "/", named);
}

// Gives the owner of a new directory all rights, which the umask may have
// taken. O_PATH, because opening it otherwise needs these rights.
absl::Status AddOwnerRights(const std::string& path) {
  const ForkClosedFile made =
      ForkClosedFile::Open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  struct stat st;
  if (made.fd() < 0 || fstat(made.fd(), &st) != 0) {
    return FileStatus(errno, absl::StrCat("open ", path));
  }
  if ((st.st_mode & S_IRWXU) == S_IRWXU || !IsTrusted(st.st_uid)) {
    return absl::OkStatus();
  }
  // fchmod(2) refuses such a descriptor, and chmod(2) of the path could meet a
  // symlink.
  const std::string opened = DescriptorPath(made.fd());
  if (chmod(opened.c_str(), (st.st_mode & ALLPERMS) | S_IRWXU) == 0) {
    return absl::OkStatus();
  }
  return FileStatus(errno, absl::StrCat("set the mode of ", path));
}

}  // namespace

// Each symlink is opened before it is checked and read: by its path alone,
// another process could replace it in between.
absl::StatusOr<ForkClosedFile> OpenTrustedDirectory(const std::string& path,
                                                    int flags) {
  std::string name = WithoutSlashes(path);
  for (int links = 0; links <= kMaxLinks; ++links) {
    const ForkClosedFile place =
        ForkClosedFile::Open(name, O_PATH | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (place.fd() < 0 || fstat(place.fd(), &st) != 0) {
      return FileStatus(errno, absl::StrCat("open ", path));
    }
    if (!S_ISLNK(st.st_mode)) {
      ForkClosedFile opened = ForkClosedFile::OpenAt(
          place.fd(), ".", O_DIRECTORY | O_NONBLOCK | flags);
      if (opened.fd() >= 0) return opened;
      return FileStatus(errno, absl::StrCat("open ", path));
    }
    if ((flags & O_NOFOLLOW) != 0) {
      return FileStatus(ENOTDIR, absl::StrCat("open ", path));
    }
    if (absl::Status s = CheckLink(name, st); !s.ok()) return s;
    absl::StatusOr<std::string> target = TargetOf(place.fd(), name);
    if (!target.ok()) return target.status();
    name = WithoutSlashes(*std::move(target));
  }
  return FileStatus(ELOOP, absl::StrCat("open ", path));
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return AddOwnerRights(path);
  const int error = errno;
  struct stat st;
  if (error == EEXIST && stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    return absl::OkStatus();
  }
  const absl::string_view reason = error == ENOENT
                                       ? ": its parent directory does not exist"
                                   : error == EEXIST  ? ": a file has this name"
                                   : error == ENOTDIR ? ": its parent is a file"
                                                      : "";
  return absl::ErrnoToStatus(error == EEXIST ? ENOTDIR : error,
                             absl::StrCat("make directory ", path, reason));
}

absl::Status CheckOthersCannotDelete(const std::string& path) {
  struct stat st;
  const std::string name = WithoutSlashes(path);
  if (lstat(name.c_str(), &st) == 0 && S_ISLNK(st.st_mode) &&
      !IsTrusted(st.st_uid)) {
    return Refused("use", path,
                   absl::StrCat("a symlink of user ", st.st_uid,
                                ", who can point it elsewhere; run: chown -h ",
                                geteuid(), " ", path));
  }
  if (stat(path.c_str(), &st) != 0) return absl::OkStatus();
  if (!IsTrusted(st.st_uid)) {
    return Refused("use", path,
                   absl::StrCat("belongs to user ", st.st_uid,
                                ", who can delete the logs; run: chown ",
                                geteuid(), " ", path));
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st.st_mode & S_ISVTX) == 0) {
    return Refused(
        "use", path,
        absl::StrFormat("has mode %04o, so other users can delete the logs; "
                        "run: chmod +t %s",
                        st.st_mode & ALLPERMS, path));
  }
  return absl::OkStatus();
}

}  // namespace ringlog
