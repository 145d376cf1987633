#include "ringlog/compress/recovery/leftover_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

// Returns true if the owner is alive and maps the ring. A program that closed
// the ring's descriptor still maps it; one that called exec(2) does not.
bool OwnerMapsIt(const RingHeader& header, absl::string_view path) {
  return MayBeAlive(OwnerOf(header)) &&
         MayHaveMapped(header.process_id, Basename(path));
}

// Returns true if the owner of a ring that is not locked may be alive. The
// calling process's own rings are locked, so its own pid in the header is the
// pid of another container's process and no sign of life.
bool OwnerMayBeAlive(const RingHeader& header, absl::string_view path) {
  return header.process_id != getpid() && OwnerMapsIt(header, path);
}

// Reads a ring, or its first `max_bytes` bytes. Errors are those of
// ReadFileContent().
absl::StatusOr<FileContent> ReadRing(int fd, const std::string& path,
                                     uint64_t max_bytes = kMaxRingFileBytes) {
  return ReadFileContent(fd, path, kMaxRingFileBytes, max_bytes);
}

// Returns OK if no process holds the ring's lock. FailedPrecondition if one
// does; other errors are those of IsLocked().
absl::Status CheckUnlocked(int fd, absl::string_view path) {
  const absl::StatusOr<bool> is_locked = IsLocked(fd, path);
  if (!is_locked.ok()) return is_locked.status();
  if (!*is_locked) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": in use by another process"));
}

absl::Status OwnerLives(const RingHeader& header, absl::string_view path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": process ", header.process_id, " is alive"));
}

// Opens the ring for reading. FailedPrecondition if it is locked.
absl::StatusOr<int> OpenUnlocked(const std::string& path) {
  const int fd = OpenFile(path.c_str(), O_RDONLY | O_NONBLOCK);
  if (fd < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (absl::Status s = CheckUnlocked(fd, path); !s.ok()) {
    close(fd);
    return s;
  }
  return fd;
}

// Returns the number of names of an open file; 0 if fstat(2) fails.
uint64_t LinkCount(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? uint64_t{st.st_nlink} : 0;
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

absl::StatusOr<RingHeader> ReadRingHeader(const std::string& path, int flags) {
  const int fd = OpenFile(path.c_str(), O_RDONLY | O_NONBLOCK | flags);
  if (fd < 0) return FileStatus(errno, absl::StrCat("open ", path));
  const absl::StatusOr<FileContent> bytes = ReadRing(fd, path, kLiveOffset);
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

absl::StatusOr<RingHeader> ReadLeftoverHeader(Directory* directory,
                                              const std::string& name) {
  const std::string path = directory->PathOf(name);
  // A child that is forked meanwhile must not keep the file's blocks allocated.
  const ForkClosedFile file = directory->OpenFile(name, O_RDONLY);
  if (file.fd() < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (absl::Status s = directory->CheckIsOwn(file.fd(), name); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckUnlocked(file.fd(), path); !s.ok()) return s;
  const absl::StatusOr<FileContent> bytes =
      ReadRing(file.fd(), path, kLiveOffset);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  if (OwnerMapsIt(*header, path)) return OwnerLives(*header, path);
  return header;
}

absl::StatusOr<ForkClosedFile> OpenLeftover(Directory* directory,
                                            const std::string& name) {
  const std::string path = directory->PathOf(name);
  ForkClosedFile file = directory->OpenFile(name, O_RDWR);
  if (file.fd() < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (absl::Status s = directory->CheckIsOwn(file.fd(), name); !s.ok()) {
    return s;
  }
  if (absl::Status s = LockFile(file.fd(), path); !s.ok()) return s;
  // Another process may have recovered it before this one had the lock.
  if (!directory->Names(name, file.fd())) {
    return absl::NotFoundError(
        absl::StrCat(path, ": another process has recovered it"));
  }
  if (LinkCount(file.fd()) == 1) return file;
  absl::StatusOr<ForkClosedFile> copy =
      directory->ReplaceByCopy(name, file.fd());
  if (!copy.ok() || LinkCount(copy->fd()) == 1) return copy;
  return absl::PermissionDeniedError(
      absl::StrCat(path, ": other processes give it more names"));
}

absl::StatusOr<LeftoverRing> ReadLeftover(int fd, const std::string& path) {
  absl::StatusOr<FileContent> bytes = ReadRing(fd, path);
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
  absl::StatusOr<FileContent> bytes = ReadRing(*fd, path);
  if (!bytes.ok()) return bytes.status();
  return Recovered(*std::move(bytes), header);
}

}  // namespace ringlog
