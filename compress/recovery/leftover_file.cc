#include "ringlog/compress/recovery/leftover_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ringlog/ring/os/file_status.h"
#include "ringlog/ring/os/mapped_file.h"
#include "ringlog/ring/os/open_file.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

// A process that has closed a file behind our back has it mapped still; one
// that has called exec(2) has not.
bool OwnerHasIt(const RingHeader& header, absl::string_view path) {
  return MayBeAlive(OwnerOf(header)) &&
         MayHaveMapped(header.process_id, path.substr(path.rfind('/') + 1));
}

// Of a ring that nobody has locked. The calling process's own are locked; a pid
// that it has by chance in common with a process of another container is no
// sign of life.
bool OwnerMayBeAlive(const RingHeader& header, absl::string_view path) {
  return header.process_id != getpid() && OwnerHasIt(header, path);
}

// Whether somebody has the ring locked. The kernel has no answer but the lock
// itself, for a moment: see LockForGood().
bool IsLocked(int fd) {
  int result;
  do {
    result = flock(fd, LOCK_SH | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) flock(fd, LOCK_UN);
  return result != 0;
}

// Who has it locked may only be asking, as IsLocked() and `ringlog rotate` do,
// and the ring would stay until somebody looks again. That of a process that
// lives is not tried again.
bool LockForGood(int fd, const std::string& path) {
  constexpr int kAttempts = 3;
  for (int attempt = 1; !TryLock(fd); ++attempt) {
    const absl::StatusOr<FileContent> bytes =
        ReadFileContent(fd, path, kLiveOffset);
    if (attempt == kAttempts || !bytes.ok()) return false;
    const absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
    if (header.ok() && OwnerHasIt(*header, path)) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

absl::Status InUse(absl::string_view path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": in use by another process"));
}

absl::Status OwnerLives(const RingHeader& header, absl::string_view path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": process ", header.process_id, " is alive"));
}

// For reading. FailedPrecondition if somebody has it locked.
absl::StatusOr<int> OpenUnlocked(const std::string& path) {
  const int fd = OpenFile(path.c_str(), O_RDONLY | O_NONBLOCK);
  if (fd < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (!IsLocked(fd)) return fd;
  close(fd);
  return InUse(path);
}

LeftoverRing Recovered(FileContent bytes, const RingHeader& header) {
  LeftoverRing leftover = {std::move(bytes), {}};
  const absl::string_view view = leftover.bytes.view();
  leftover.ring = RecoverRing(view, header, RecoverFrom::kCursor);
  if (LatestCursorIsDamaged(leftover.ring.live, header)) {
    leftover.ring = RecoverRing(view, header, RecoverFrom::kEverything);
  }
  return leftover;
}

}  // namespace

absl::Status PrependPath(const absl::Status& status, absl::string_view path) {
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
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

absl::StatusOr<FileContent> ReadFileContent(int fd, const std::string& path,
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
  FileContent bytes;
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

absl::StatusOr<RingHeader> ReadRingHeader(const std::string& path, int flags) {
  const int fd = OpenFile(path.c_str(), O_RDONLY | O_NONBLOCK | flags);
  if (fd < 0) return FileStatus(errno, absl::StrCat("open ", path));
  const absl::StatusOr<FileContent> bytes =
      ReadFileContent(fd, path, kLiveOffset);
  close(fd);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  return header;
}

bool WritesSegmentsTo(const RingHeader& header, bool is_in_same_directory,
                      const std::string& segment_directory) {
  const absl::string_view recorded = SegmentDirectory(header);
  return recorded.empty()
             ? is_in_same_directory
             : recorded == SegmentDirectoryField(segment_directory);
}

absl::StatusOr<RingHeader> ReadLeftoverHeader(const std::string& path) {
  // Not to be kept open, with all of its blocks, by a child that is forked
  // meanwhile.
  const ForkClosedFile file =
      ForkClosedFile::Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file.fd() < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (IsLocked(file.fd())) return InUse(path);
  const absl::StatusOr<FileContent> bytes =
      ReadFileContent(file.fd(), path, kLiveOffset);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  if (OwnerHasIt(*header, path)) return OwnerLives(*header, path);
  return header;
}

absl::StatusOr<ForkClosedFile> OpenLeftover(const std::string& path) {
  ForkClosedFile fd =
      ForkClosedFile::Open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (fd.fd() < 0) {
    return FileStatus(errno, absl::StrCat("open ", path));
  }
  if (!LockForGood(fd.fd(), path)) return InUse(path);
  if (IsDeleted(fd.fd())) {
    return absl::NotFoundError(absl::StrCat(path, ": recovered by another"));
  }
  return fd;
}

absl::StatusOr<LeftoverRing> ReadLeftover(int fd, const std::string& path) {
  absl::StatusOr<FileContent> bytes = ReadFileContent(fd, path);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  if (OwnerMayBeAlive(*header, path)) return OwnerLives(*header, path);
  return Recovered(*std::move(bytes), *header);
}

absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path) {
  const absl::StatusOr<int> fd = OpenUnlocked(path);
  if (!fd.ok()) return fd.status();
  auto close_file = absl::MakeCleanup([&fd] { close(*fd); });
  return ReadLeftover(*fd, path);
}

absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path,
                                          const RingHeader& header) {
  const absl::StatusOr<int> fd = OpenUnlocked(path);
  if (!fd.ok()) return fd.status();
  auto close_file = absl::MakeCleanup([&fd] { close(*fd); });
  absl::StatusOr<FileContent> bytes = ReadFileContent(*fd, path);
  if (!bytes.ok()) return bytes.status();
  return Recovered(*std::move(bytes), header);
}

}  // namespace ringlog
