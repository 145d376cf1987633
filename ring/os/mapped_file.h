// MappedFile
//
// A file of fixed size that is mapped shared and writable and locked by one
// process at a time. Its blocks are allocated, so stores into the mapping
// cannot fail for lack of disk space.

#ifndef RINGLOG_RING_OS_MAPPED_FILE_H_
#define RINGLOG_RING_OS_MAPPED_FILE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Owns the mapping and the descriptor. The destructor unmaps, closes and
// unlocks the file, but does not delete it. Thread-compatible. In a forked
// child the file is closed, and bytes() refers to private memory of zeros; see
// ForkClosedFile.
class MappedFile {
 public:
  using Bytes = absl::Span<unsigned char>;

  // Creates a file of `size` zero bytes with mode 0600, whatever the umask is,
  // calls `initialize` on the mapping, and then gives the file the name `path`.
  // All steps use the directory as it is found at the start. Until the last
  // step the name is PATH.tmp. If the process is killed, PATH.tmp may remain,
  // and Create() of the same path fails until recovery deletes it
  // (compress/recovery/leftover_recovery.h).
  //
  // If there is a file `path`, calls `initialize_again` once, if it is set. It
  // initializes the mapping for another name, and returns that name, without
  // directories. PATH.tmp shows `path` to other users, who may make that file;
  // the second name should be one that they cannot predict.
  //
  // Allocates and writes all blocks, because on a full disk a store into a
  // sparse file ends the process with SIGBUS. Populates the pages, so that
  // stores do not fault. On a copy-on-write file system, allocated blocks do
  // not guarantee room, and the kernel offers nothing better.
  //
  //   AlreadyExists      `path` or PATH.tmp exists; with `initialize_again`,
  //                      the other name exists, too
  //   Unimplemented      the file system has no locks (file_lock.h), does not
  //                      show them to other processes, or lets other users
  //                      write to each file
  //   ResourceExhausted  no disk space, quota, memory or descriptor; a limit
  //   others             the error of the failed system call
  // All messages have the operation and the path. An error leaves no new
  // file.
  static absl::StatusOr<MappedFile> Create(
      const std::string& path, size_t size,
      const std::function<void(Bytes)>& initialize,
      const std::function<std::string(Bytes)>& initialize_again = nullptr);

  // Maps `size` zero bytes of memory without a file, and calls `initialize` on
  // them. Errors: see Create().
  static absl::StatusOr<MappedFile> CreateAnonymous(
      size_t size, const std::function<void(Bytes)>& initialize);

  // Locks and maps an existing file.
  //   FailedPrecondition  a MappedFile of this or another process has it open
  //   Unimplemented       the file system has no locks (file_lock.h)
  //   InvalidArgument     the file is empty
  //   ResourceExhausted   no memory or descriptor
  //   others              errors of open(2), fstat(2) and mmap(2)
  // All messages have the operation and the path.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;

  // Returns the mapping, which is valid until the object is destroyed or
  // assigned to.
  Bytes bytes() const { return bytes_; }

  // Returns the path of the file; for memory without a file, words that say so.
  const std::string& path() const { return path_; }

  // Returns true if there is a file and it has no name any more. Returns false
  // if the program has closed the descriptor.
  bool is_deleted() const;

  // Returns true if the file's path leads to the file. Returns false if the
  // file or a directory of its path was deleted, renamed or replaced: then
  // other processes do not find the file. Looks at the path only, because the
  // program may have closed the descriptor. Returns true for memory without a
  // file, and if the path cannot be looked at.
  bool IsAtPath() const;

  // Deletes the file, also if its directory has another path meanwhile. Does
  // nothing for memory without a file, and if the file does not have its name
  // in its directory any more. Errors are those of unlink(2), with the path.
  absl::Status Delete() const;

  // Replaces the complete pages of the mapping from `offset` on by private
  // memory of zeros, which takes no room before a store. Pointers into it stay
  // valid. If the system has no memory for that, changes nothing.
  void Discard(size_t offset);

  // Starts the write-back of the mapping with msync(2), and waits for its end
  // if `wait`. Does nothing for memory without a file. Errors are those of
  // msync(2), with the path.
  absl::Status Sync(bool wait) const;

 private:
  MappedFile(ForkClosedFile directory, ForkClosedFile file, Bytes bytes,
             std::string path)
      : directory_(std::move(directory)),
        file_(std::move(file)),
        bytes_(bytes),
        path_(std::move(path)) {}

  ForkClosedFile directory_;
  ForkClosedFile file_;
  Bytes bytes_;
  std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_MAPPED_FILE_H_
