// An open segment file with reads and writes at explicit offsets.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_FILE_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_FILE_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/data_ranges.h"
#include "ringlog/compress/segment/read_buffer.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_identity.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Mode of a new segment, before the umask. Group members may read logs.
inline constexpr mode_t kDefaultSegmentMode = 0640;

// Owns a file descriptor, which is closed in forked children. Each error has
// the failed operation, the path and the cause.
//
// If the program has closed the descriptor, which may be another file's then,
// every operation but ReadAt() first opens the file again by its path and
// reports that on stderr. If the path does not lead to the file any more, the
// operation fails with NotFound; if it cannot be opened, with the error of
// open(2).
//
// Thread-compatible. ReadAt() needs the same exclusion as a non-const method.
class SegmentFile {
 public:
  // Opens the regular file at `path`. `flags` are those of open(2); O_CLOEXEC
  // is added.
  //   InvalidArgument: not a regular file
  //   others:          those of open(2) and fstat(2)
  static absl::StatusOr<SegmentFile> Open(const std::string& path, int flags);

  // Opens the regular file `name` in `directory`, not through a symlink. The
  // errors are the same.
  static absl::StatusOr<SegmentFile> OpenIn(const Directory& directory,
                                            const std::string& name, int flags);

  // Creates and locks the file `name` in `directory`. `mode` is its mode before
  // the umask, which cannot take the owner's right to read and write. After an
  // error there is no new file, unless it cannot be deleted. Without locks in
  // the file system, the file is not locked. If a reader locks the file first,
  // WriteAt() tries again.
  //   AlreadyExists: there is a file of this name
  //   others:        those of open(2), fstat(2) and fchmod(2)
  static absl::StatusOr<SegmentFile> Create(const Directory& directory,
                                            const std::string& name,
                                            mode_t mode);

  SegmentFile(SegmentFile&&) = default;
  SegmentFile& operator=(SegmentFile&&) = delete;

  // Returns the size of the file, in bytes, when it was opened.
  uint64_t opened_bytes() const { return opened_bytes_; }
  const std::string& path() const { return path_; }

  // Returns true if the file is still `name` in `directory`: if no other
  // process has deleted, renamed or replaced it.
  bool IsNamed(const Directory& directory, const std::string& name) const {
    return directory.Names(name, fd());
  }

  // Reads up to `bytes` bytes at `offset` and returns the number of bytes read.
  // The number is smaller than `bytes` only at the end of the file. Small reads
  // come from a buffer, which does not have what another process has written
  // since the bytes were read. Errors are those of pread(2).
  absl::StatusOr<size_t> ReadAt(uint64_t offset, char* out, size_t bytes) const;
  // Reads an integer, or an array of integers, at `offset`. Returns false if
  // the file ends before the last byte, or if ReadAt() fails.
  template <typename Integers>
  bool ReadIntegers(uint64_t offset, Integers* out) const {
    const absl::StatusOr<size_t> got =
        ReadAt(offset, reinterpret_cast<char*>(out), sizeof *out);
    return got.ok() && *got == sizeof *out;
  }
  // Returns the first data at or after `offset`, up to `limit`, and the end of
  // the last data before `limit` (data_ranges.h). Between data, the file has
  // holes, which no function should read.
  FileRange FindData(uint64_t offset, uint64_t limit) const {
    return data_ranges_.Next([this] { return file_.OwnFd(); }, offset, limit);
  }
  uint64_t FindLastDataEnd(uint64_t limit) const {
    return data_ranges_.LastEnd([this] { return file_.OwnFd(); }, limit);
  }
  // Returns the first error of ReadAt(), or OK.
  const absl::Status& read_status() const { return read_status_; }
  // Writes all of `bytes` at `offset`. After an error, which is one of
  // pwrite(2), any part of them may be in the file. If a lock of another
  // process kept Lock() from locking the file, tries again.
  absl::Status WriteAt(uint64_t offset, absl::string_view bytes);
  // Sets the size of the file. Errors are those of ftruncate(2).
  absl::Status Truncate(uint64_t bytes);
  // Makes the content durable with fdatasync(2). Errors are those of fdatasync.
  absl::Status Sync();
  // Makes the content and the size durable with fsync(2), also after Truncate()
  // made the file shorter. Errors are those of fsync.
  absl::Status SyncLength();

  // Returns the present size of the file in bytes. Does not open the file
  // again, but looks at its path. Errors are those of stat(2).
  absl::StatusOr<uint64_t> Size() const;
  // Returns true if the file has no name any more, or if the program has closed
  // the descriptor and the path does not lead to the file any more. Returns
  // false if stat(2) fails for another reason.
  bool IsDeleted() const;
  // Returns true if the path does not lead to the file any more. Returns false
  // if stat(2) fails for another reason than a missing file.
  bool HasLostPath() const;
  // Returns the identity of the file.
  const FileIdentity& identity() const { return file_.identity(); }

  // Locks the file until this object is destroyed. The lock shows that a
  // process writes to the file, so that retention does not delete it
  // (retention.h). Requires: the file is open for writing. Errors are those of
  // LockFile() (file_lock.h).
  absl::Status Lock();
  // Returns true if another process, or another object, holds the lock. Errors
  // are those of IsLocked() (file_lock.h).
  absl::StatusOr<bool> IsLocked() const;

  // Returns the inode, also if the program has closed the descriptor.
  //   NotFound: the descriptor is closed, and the path leads to another file
  //   others:   errors of stat(2)
  absl::StatusOr<struct stat> Stat() const;
  // Checks that the file is one that this process's user made, in `directory`,
  // from which it was opened. `permitted` and the errors are those of
  // Directory::CheckIsOwn().
  absl::Status CheckIsOwn(Directory* directory, mode_t permitted) const;
  // Returns the number of names that the file has. Errors are those of
  // fstat(2).
  absl::StatusOr<uint64_t> LinkCount() const;
  // Gives `name`, the file's name in `directory`, to a copy of the file. Errors
  // are those of Directory::ReplaceByCopy().
  absl::Status ReplaceByCopy(const Directory& directory,
                             const std::string& name) const;

 private:
  SegmentFile(std::string path, ForkClosedFile file)
      : path_(std::move(path)), file_(std::move(file)) {}
  static absl::StatusOr<SegmentFile> FromOpened(std::string path,
                                                ForkClosedFile opened);
  int fd() const { return file_.fd(); }
  // Opens the file again if the program has closed the descriptor.
  absl::Status EnsureOpen();
  absl::Status TakeLock();
  absl::Status Error(int error, absl::string_view attempted) const;
  absl::StatusOr<size_t> Read(uint64_t offset, char* out, size_t bytes) const;
  void ForgetContent();

  std::string path_;
  ForkClosedFile file_;
  bool is_locked_ = false;        // Lock() was called
  bool lock_is_missing_ = false;  // another process held one at the last try
  uint64_t opened_bytes_ = 0;
  mutable absl::Status read_status_;
  mutable ReadBuffer buffer_;
  mutable DataRanges data_ranges_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_FILE_H_
