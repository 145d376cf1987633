#include "ringlog/compress/segment/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {

absl::StatusOr<SegmentFile> SegmentFile::Open(const std::string& path,
                                              int flags, mode_t mode) {
  // O_NONBLOCK, because opening a pipe would block otherwise.
  ForkClosedFile opened = ForkClosedFile::Open(path, flags | O_NONBLOCK, mode);
  if (opened.fd() < 0) {
    return FileStatus(errno, absl::StrCat("cannot open ", path));
  }
  SegmentFile file(path, std::move(opened));
  struct stat st;
  if (fstat(file.fd(), &st) != 0) return file.Error(errno, "stat");
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot open ", path, ": not a regular file"));
  }
  file.opened_bytes_ = static_cast<uint64_t>(st.st_size);
  return file;
}

absl::Status SegmentFile::Error(int error, absl::string_view attempted) const {
  return FileStatus(error, absl::StrCat("cannot ", attempted, " ", path_));
}

absl::StatusOr<size_t> SegmentFile::ReadAt(uint64_t offset, char* out,
                                           size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = pread(fd(), out + done, bytes - done,
                            static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const absl::Status status = Error(errno, "read");
      read_status_.Update(status);
      return status;
    }
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

absl::Status SegmentFile::WriteAt(uint64_t offset, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        pwrite(fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error(errno, "write to");
    // A write of 0 bytes without an error must not be retried forever.
    if (n == 0) return Error(EIO, "write to");
    offset += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status SegmentFile::Truncate(uint64_t bytes) {
  while (ftruncate(fd(), static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return Error(errno, "truncate");
  }
  return absl::OkStatus();
}

absl::Status SegmentFile::Sync() {
  if (fdatasync(fd()) != 0) return Error(errno, "sync");
  return absl::OkStatus();
}

absl::Status SegmentFile::SyncLength() {
  if (fsync(fd()) != 0) return Error(errno, "sync");
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SegmentFile::Size() const {
  struct stat st;
  if (fstat(fd(), &st) != 0) return Error(errno, "stat");
  return static_cast<uint64_t>(st.st_size);
}

bool SegmentFile::IsDeleted() const { return ringlog::IsDeleted(fd()); }

absl::Status SegmentFile::Lock() { return LockFile(fd(), path_); }

}  // namespace ringlog
