#include "ringlog/compress/recovery/leftover_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
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

// Returns true if another process holds the ring's lock. The kernel can only
// answer by granting the lock for a moment; see LockForGood().
bool IsLocked(int fd) {
  int result;
  do {
    result = flock(fd, LOCK_SH | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) flock(fd, LOCK_UN);
  return result != 0;
}

// Takes the lock. Retries, because the holder may only be testing the lock, as
// IsLocked() and `ringlog rotate` do; otherwise the ring would stay until the
// next scan. Does not retry if the owner is alive.
bool LockForGood(int fd, const std::string& path) {
  constexpr int kAttempts = 3;
  for (int attempt = 1; !TryLock(fd); ++attempt) {
    const absl::StatusOr<FileContent> bytes = ReadRing(fd, path, kLiveOffset);
    if (attempt == kAttempts || !bytes.ok()) return false;
    const absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
    if (header.ok() && OwnerMapsIt(*header, path)) return false;
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

// Opens the ring for reading. FailedPrecondition if it is locked.
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

absl::StatusOr<RingHeader> ReadLeftoverHeader(const std::string& path) {
  // A child that is forked meanwhile must not keep the file's blocks allocated.
  const ForkClosedFile file =
      ForkClosedFile::Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file.fd() < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (IsLocked(file.fd())) return InUse(path);
  const absl::StatusOr<FileContent> bytes =
      ReadRing(file.fd(), path, kLiveOffset);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  if (OwnerMapsIt(*header, path)) return OwnerLives(*header, path);
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
    return absl::NotFoundError(
        absl::StrCat(path, ": another process has recovered it"));
  }
  return fd;
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
