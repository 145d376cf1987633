#include "ringlog/compress/segment/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/memory_limit.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {

absl::StatusOr<SegmentFile> SegmentFile::FromOpened(std::string path,
                                                    ForkClosedFile opened) {
  if (opened.fd() < 0) {
    return FileStatus(errno, absl::StrCat("cannot open ", path));
  }
  SegmentFile file(std::move(path), std::move(opened));
  struct stat st;
  if (fstat(file.fd(), &st) != 0) return file.Error(errno, "stat");
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot open ", file.path_, ": not a regular file"));
  }
  file.opened_bytes_ = static_cast<uint64_t>(st.st_size);
  return file;
}

absl::StatusOr<SegmentFile> SegmentFile::Open(const std::string& path,
                                              int flags) {
  // O_NONBLOCK, because opening a pipe would block otherwise.
  return FromOpened(path, ForkClosedFile::Open(path, flags | O_NONBLOCK));
}

absl::StatusOr<SegmentFile> SegmentFile::OpenIn(const Directory& directory,
                                                const std::string& name,
                                                int flags) {
  return FromOpened(directory.PathOf(name), directory.OpenFile(name, flags));
}

absl::StatusOr<SegmentFile> SegmentFile::Create(const Directory& directory,
                                                const std::string& name,
                                                mode_t mode) {
  const std::string path = directory.PathOf(name);
  ForkClosedFile opened =
      directory.OpenFile(name, O_RDWR | O_CREAT | O_EXCL, mode);
  if (opened.fd() < 0) return FromOpened(path, std::move(opened));
  // From here on, every error deletes the file: no later attempt would find it.
  // Without memory for the error of Delete(), a clean-up during an exception
  // would end the process.
  auto delete_file = absl::MakeCleanup(
      [&] { FitsInMemory([&] { directory.Delete(name).IgnoreError(); }); });
  absl::StatusOr<SegmentFile> file = FromOpened(path, std::move(opened));
  if (!file.ok()) return file;
  struct stat st;
  if (fstat(file->fd(), &st) != 0) return file->Error(errno, "stat");
  constexpr mode_t kOwnerBits = S_IRUSR | S_IWUSR;
  if ((st.st_mode & kOwnerBits) != kOwnerBits &&
      fchmod(file->fd(), (st.st_mode & ALLPERMS) | kOwnerBits) != 0) {
    return file->Error(errno, "set the mode of");
  }
  // Nothing else writes to a new file. The lock is for retention; without it,
  // or if a reader's lock stands in the way, the segment is still written.
  file->Lock().IgnoreError();
  std::move(delete_file).Cancel();
  return file;
}

absl::Status SegmentFile::Error(int error, absl::string_view attempted) const {
  return FileStatus(error, absl::StrCat("cannot ", attempted, " ", path_));
}

absl::Status SegmentFile::EnsureOpen() {
  if (file_.OwnFd() >= 0) return absl::OkStatus();
  if (fd() < 0) return Error(EBADF, "use");  // in a forked child
  constexpr int kFlags = O_RDWR | O_NOFOLLOW | O_NONBLOCK;
  ForkClosedFile again = ForkClosedFile::Open(path_, kFlags);
  if (again.fd() < 0) return Error(errno, "open again");
  if (again.identity() != identity()) {
    return absl::NotFoundError(
        absl::StrCat("cannot open again ", path_, ": this is another file"));
  }
  if (is_locked_) {
    absl::Status status = LockFile(again.fd(), path_);
    const bool is_missing = absl::IsFailedPrecondition(status);
    if (is_missing && !lock_is_missing_) return status;
    lock_is_missing_ = is_missing;
  }
  const int closed = fd();
  file_ = std::move(again);
  WarnRateLimited(absl::StrCat(
      "opened again ", path_, ": the program had closed descriptor ", closed,
      "; close only descriptors that the program itself has opened"));
  return absl::OkStatus();
}

absl::StatusOr<struct stat> SegmentFile::Stat() const {
  struct stat st;
  if (fstat(fd(), &st) == 0 && FileIdentity::Of(st) == identity()) return st;
  if (lstat(path_.c_str(), &st) != 0) return Error(errno, "stat");
  if (FileIdentity::Of(st) == identity()) return st;
  return absl::NotFoundError(
      absl::StrCat("cannot stat ", path_, ": this is another file"));
}

absl::StatusOr<size_t> SegmentFile::ReadAt(uint64_t offset, char* out,
                                           size_t bytes) const {
  if (bytes > ReadBuffer::kMaxSmallRead) return Read(offset, out, bytes);
  if (buffer_.Get(offset, out, bytes)) return bytes;
  std::string& memory = buffer_.Refill(offset);
  const absl::Status status_before = read_status_;
  const absl::StatusOr<size_t> got = Read(offset, memory.data(), memory.size());
  if (!got.ok()) {
    // The bytes that cannot be read may be those after the wanted ones.
    read_status_ = status_before;
    return Read(offset, out, bytes);
  }
  buffer_.Filled(*got);
  const size_t available = std::min(bytes, *got);
  buffer_.Get(offset, out, available);
  return available;
}

absl::StatusOr<size_t> SegmentFile::Read(uint64_t offset, char* out,
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

void SegmentFile::ForgetContent() {
  buffer_.Clear();
  data_ranges_ = DataRanges();
}

absl::Status SegmentFile::WriteAt(uint64_t offset, absl::string_view bytes) {
  if (bytes.empty()) return absl::OkStatus();
  if (absl::Status s = EnsureOpen(); !s.ok()) return s;
  if (lock_is_missing_) TakeLock().IgnoreError();
  ForgetContent();
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
  if (absl::Status s = EnsureOpen(); !s.ok()) return s;
  ForgetContent();
  while (ftruncate(fd(), static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return Error(errno, "truncate");
  }
  return absl::OkStatus();
}

absl::Status SegmentFile::Sync() {
  if (absl::Status s = EnsureOpen(); !s.ok()) return s;
  if (fdatasync(fd()) != 0) return Error(errno, "sync");
  return absl::OkStatus();
}

absl::Status SegmentFile::SyncLength() {
  if (absl::Status s = EnsureOpen(); !s.ok()) return s;
  if (fsync(fd()) != 0) return Error(errno, "sync");
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SegmentFile::Size() const {
  const absl::StatusOr<struct stat> st = Stat();
  if (!st.ok()) return st.status();
  return static_cast<uint64_t>(st->st_size);
}

bool SegmentFile::IsDeleted() const {
  const absl::StatusOr<struct stat> st = Stat();
  return st.ok() ? st->st_nlink == 0 : absl::IsNotFound(st.status());
}

bool SegmentFile::HasLostPath() const {
  struct stat st;
  if (lstat(path_.c_str(), &st) != 0) return errno == ENOENT;
  return FileIdentity::Of(st) != identity();
}

absl::Status SegmentFile::Lock() {
  if (absl::Status s = EnsureOpen(); !s.ok()) return s;
  is_locked_ = true;
  return TakeLock();
}

absl::Status SegmentFile::TakeLock() {
  absl::Status status = LockFile(fd(), path_);
  lock_is_missing_ = absl::IsFailedPrecondition(status);
  return status;
}

absl::StatusOr<bool> SegmentFile::IsLocked() const {
  return ringlog::IsLocked(fd(), path_);
}

absl::Status SegmentFile::CheckIsOwn(Directory* directory,
                                     mode_t permitted) const {
  return directory->CheckIsOwn(fd(), Basename(path_), permitted);
}

absl::Status SegmentFile::ReplaceByCopy(const Directory& directory,
                                        const std::string& name) const {
  return directory.ReplaceByCopy(name, fd()).status();
}

absl::StatusOr<uint64_t> SegmentFile::LinkCount() const {
  struct stat st;
  if (fstat(fd(), &st) != 0) return Error(errno, "stat");
  return uint64_t{st.st_nlink};
}

}  // namespace ringlog
