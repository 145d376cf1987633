#include "ringlog/compress/leftover_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/mapped_file.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {

absl::Status Annotate(const absl::Status& status, absl::string_view path) {
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
}

std::vector<std::string> NamesIn(const std::string& path,
                                 absl::Status* status) {
  std::vector<std::string> names;
  DIR* const directory = opendir(path.c_str());
  if (directory == nullptr) {
    if (status != nullptr && errno != ENOENT) {
      *status = absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
    }
    return names;
  }
  while (const dirent* entry = readdir(directory)) {
    names.push_back(entry->d_name);
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<FileBytes> ReadFileBytes(int fd, const std::string& path,
                                        uint64_t most) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  }
  const auto file_bytes = static_cast<uint64_t>(st.st_size);
  if (!S_ISREG(st.st_mode) || file_bytes > kMaxRingFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": not a regular file of at most ", kMaxRingFileBytes, " bytes"));
  }
  const auto wanted = static_cast<size_t>(std::min(file_bytes, most));
  FileBytes bytes;
  // The host program does not end because a ring is large.
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

absl::StatusOr<RingHeader> ReadRingHeader(int fd, const std::string& path) {
  const absl::StatusOr<FileBytes> bytes = ReadFileBytes(fd, path, kLiveOffset);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return Annotate(header.status(), path);
  return header;
}

absl::StatusOr<int> OpenLeftover(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  auto close_file = absl::MakeCleanup([fd] { close(fd); });
  if (!TryLock(fd)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": in use by another process"));
  }
  if (IsDeleted(fd)) {
    return absl::NotFoundError(absl::StrCat(path, ": recovered by another"));
  }
  std::move(close_file).Cancel();
  return fd;
}

}  // namespace ringlog
