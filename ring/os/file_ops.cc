#include "ringlog/ring/os/file_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "absl/strings/str_cat.h"

namespace ringlog {

int OpenFile(const char* path, int flags, mode_t mode) {
  return OpenFileAt(AT_FDCWD, path, flags, mode);
}

int OpenFileAt(int directory, const char* path, int flags, mode_t mode) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // Never closed: by then its number may belong to a file that another thread
    // has put there with dup2(2).
    const int placeholder = open("/", O_PATH | O_CLOEXEC);
    if (placeholder < 0) return -1;
    if (placeholder > STDERR_FILENO) close(placeholder);
  }
  return openat(directory, path, flags | O_CLOEXEC, mode);
}

absl::Status FileStatus(int error, absl::string_view message) {
  absl::Status status = absl::ErrnoToStatus(error, message);
  if (!absl::IsNotFound(status) || error == ENOENT) return status;
  return absl::UnavailableError(status.message());
}

absl::Status ProvesNothing(const absl::Status& error) {
  if (!absl::IsPermissionDenied(error)) return error;
  return absl::UnavailableError(error.message());
}

absl::Status PrependPath(const absl::Status& status, absl::string_view path) {
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
}

bool IsDeleted(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

std::string DescriptorPath(int fd) {
  return absl::StrCat("/proc/self/fd/", fd);
}

bool RenameToNew(int directory, const std::string& from,
                 const std::string& to) {
  if (renameat2(directory, from.c_str(), directory, to.c_str(),
                RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) return false;
  // link(2) and unlink(2) are no replacement: on some file systems without the
  // flag, the link is another inode, without the lock.
  struct stat st;
  const bool exists =
      fstatat(directory, to.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists || errno != ENOENT) {
    if (exists) errno = EEXIST;
    return false;
  }
  if (renameat(directory, from.c_str(), directory, to.c_str()) == 0) {
    return true;
  }
  const int error = errno;
  // EPERM, EISDIR and others: the new file may not be replaced.
  const bool is_taken =
      fstatat(directory, to.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  errno = is_taken ? EEXIST : error;
  return false;
}

bool FileIsGone(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) != 0 && errno == ENOENT;
}

absl::Status DeleteFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("delete ", path));
}

std::vector<std::string> ListDirectory(const std::string& path,
                                       absl::Status* status) {
  std::vector<std::string> names;
  DIR* const directory = opendir(path.c_str());
  if (directory == nullptr) {
    if (status != nullptr && errno != ENOENT) {
      *status = absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
    }
    return names;
  }
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    names.push_back(entry->d_name);
    errno = 0;
  }
  const int error = errno;
  closedir(directory);
  if (error != 0) {
    if (status != nullptr) {
      *status = absl::ErrnoToStatus(error, absl::StrCat("read ", path));
    }
    return {};
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = OpenFile(path.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return FileStatus(errno, absl::StrCat("open ", path));
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  if (result != 0) {
    return FileStatus(error, absl::StrCat("fsync ", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<FileContent> ReadFileContent(int fd, const std::string& path,
                                            uint64_t max_file_bytes,
                                            uint64_t max_bytes) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  }
  const auto file_bytes = static_cast<uint64_t>(st.st_size);
  if (!S_ISREG(st.st_mode) || file_bytes > max_file_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": not a regular file of at most ", max_file_bytes, " bytes"));
  }
  const auto wanted = static_cast<size_t>(std::min(file_bytes, max_bytes));
  FileContent bytes;
  // A large file must not end the host program.
  bytes.data.reset(new (std::nothrow) char[wanted]);
  if (bytes.data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": no memory for its ", wanted, " bytes"));
  }
  while (bytes.size < wanted) {
    const ssize_t n =
        pread(fd, bytes.data.get() + bytes.size, wanted - bytes.size,
              static_cast<off_t>(bytes.size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    bytes.size += static_cast<size_t>(n);
  }
  return bytes;
}

absl::string_view Basename(absl::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::string Dirname(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace ringlog
