#include "ringlog/compress/recovery/leftover_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/segment/file_name.h"
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

// Reads the part of a ring that has its headers. Errors are those of
// ReadFileContent().
absl::StatusOr<FileContent> ReadHeaders(int fd, const std::string& path) {
  return ReadFileContent(fd, path, kMaxRingFileBytes, kRingHeaderAreaBytes);
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
absl::StatusOr<ForkClosedFile> OpenUnlocked(const std::string& path) {
  ForkClosedFile file = ForkClosedFile::Open(path, O_RDONLY | O_NONBLOCK);
  if (file.fd() < 0) return FileStatus(errno, absl::StrCat("open ", path));
  if (absl::Status s = CheckUnlocked(file.fd(), path); !s.ok()) return s;
  return file;
}

// Starts the recovery of a ring. Errors are those of FileSource.
absl::StatusOr<LeftoverRing> StartRecovery(int fd, const std::string& path,
                                           const RingHeader& header) {
  LeftoverRing leftover;
  absl::StatusOr<std::unique_ptr<FileSource>> source =
      FileSource::Make(fd, path, kMaxRingFileBytes);
  if (!source.ok()) return source.status();
  leftover.source = *std::move(source);
  absl::StatusOr<std::unique_ptr<RingRecovery>> ring =
      RingRecovery::Start(leftover.source.get(), header, RecoverFrom::kCursor);
  if (!ring.ok()) return ring.status();
  leftover.ring = *std::move(ring);
  if (LatestCursorIsDamaged(leftover.ring->summary().live, header)) {
    leftover.ring->Restart(RecoverFrom::kEverything);
  }
  return leftover;
}

}  // namespace

absl::StatusOr<RingHeader> ReadRingHeader(const std::string& path, int flags) {
  const int fd = OpenFile(path.c_str(), O_RDONLY | O_NONBLOCK | flags);
  if (fd < 0) return FileStatus(errno, absl::StrCat("open ", path));
  const absl::StatusOr<FileContent> bytes = ReadHeaders(fd, path);
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
  const absl::StatusOr<FileContent> bytes = ReadHeaders(file.fd(), path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  if (OwnerMapsIt(*header, path)) return OwnerLives(*header, path);
  return header;
}

absl::Status CheckRingName(const RingHeader& header, const std::string& path,
                           absl::string_view command) {
  const std::string name = RingFileName(header);
  if (Basename(path) == name) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": its header has the name ", name,
      "; if it is no copy of another ring, give it this name, or use ",
      command));
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
  return file;
}

absl::StatusOr<LeftoverRing> ReadLeftover(int fd, const std::string& path) {
  const absl::StatusOr<FileContent> bytes = ReadHeaders(fd, path);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
  if (!header.ok()) return PrependPath(header.status(), path);
  if (OwnerMayBeAlive(*header, path)) return OwnerLives(*header, path);
  return StartRecovery(fd, path, *header);
}

absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path) {
  absl::StatusOr<ForkClosedFile> file = OpenUnlocked(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<LeftoverRing> leftover = ReadLeftover(file->fd(), path);
  if (leftover.ok()) leftover->file = *std::move(file);
  return leftover;
}

absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path,
                                          const RingHeader& header) {
  absl::StatusOr<ForkClosedFile> file = OpenUnlocked(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<LeftoverRing> leftover =
      StartRecovery(file->fd(), path, header);
  if (leftover.ok()) leftover->file = *std::move(file);
  return leftover;
}

}  // namespace ringlog
