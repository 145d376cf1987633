// ForkClosedFile
//
// A file that is closed and unmapped in forked children. A lock
// (file_lock.h) belongs to the open file description, not to the process, and a
// mapping keeps the file open. A child that inherited the descriptor or the
// mapping would hold the lock for its lifetime, and the ring of its dead parent
// would look alive.
//
// A program may close descriptors that it has not opened, for example all of
// them when it becomes a daemon. Its next file then gets the number of one of
// ours. ForkClosedFile therefore remembers device, inode and birth time of its
// file, and neither unlocks nor closes a descriptor that has become another
// file's, or another object's for the same file. A caller that writes must ask
// OwnFd() first.

#ifndef RINGLOG_RING_OS_FORK_CLOSED_FILE_H_
#define RINGLOG_RING_OS_FORK_CLOSED_FILE_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringlog/ring/os/file_identity.h"

namespace ringlog {

// Owns a descriptor, which is close-on-exec, and at most one mapping.
// Thread-compatible. A moved-from object owns nothing.
//
// In a forked child, fd() is -1, and private memory of zeros replaces the
// mapping, so that pointers into it stay valid.
//
// fork() waits while a file is opened, mapped or closed, so that no file
// escapes a child's clean-up. Children of vfork() and posix_spawn() have the
// file until they exec.
class ForkClosedFile {
 public:
  // Opens a file with OpenFile(). On error fd() is -1 and errno is set; a file
  // that O_CREAT | O_EXCL has created is deleted.
  static ForkClosedFile Open(const std::string& path, int flags,
                             mode_t mode = 0);
  // Opens `path` below the open directory `directory`, as openat(2) does.
  static ForkClosedFile OpenAt(int directory, const std::string& path,
                               int flags, mode_t mode = 0);
  // Returns an object for memory without a file.
  static ForkClosedFile Anonymous();

  ForkClosedFile() = default;
  ForkClosedFile(ForkClosedFile&& other) noexcept;
  ForkClosedFile& operator=(ForkClosedFile&& other) noexcept;
  // Unlocks, unmaps and closes. Preserves errno.
  ~ForkClosedFile();

  // Maps the first `bytes` bytes of the file, or anonymous memory, shared and
  // writable. Returns the address. On error returns MAP_FAILED and sets errno
  // as mmap(2) does.
  // Requires: Open() has succeeded, or Anonymous() has made the object. Nothing
  // is mapped yet.
  void* Map(size_t bytes);

  // Returns the descriptor; -1 if there is none, for example in a forked child.
  int fd() const { return entry_ == nullptr ? -1 : entry_->fd; }

  // Returns fd(), or -1 if the program has closed that descriptor, whether or
  // not another file, or another object, has its number now. Calls fstat(2) and
  // statx(2). On a file system without birth times, a new file of the program's
  // that has both the number of the descriptor and of the inode is not noticed.
  // A program that closes the descriptor after this call, and before the caller
  // uses it, is not noticed.
  int OwnFd() const;

  // Returns the identity of the file that was opened. Requires: Open() has
  // succeeded.
  const FileIdentity& identity() const { return entry_->identity; }

 private:
  // An element of the list of all open files.
  struct Entry {
    // Returns fd if it is still the file that was opened, and -1 otherwise.
    // Makes a system call only.
    int OwnFd() const;

    int fd = -1;
    // Whether another entry got the number fd later, because the program had
    // closed it. The thread that opens the other entry's file sets it.
    std::atomic<bool> has_lost_fd{false};
    FileIdentity identity;
    int64_t birth_time_ns = 0;  // 0: not known
    void* memory = nullptr;
    size_t bytes = 0;
    bool is_listed = false;
    Entry* next = nullptr;
    Entry* previous = nullptr;
  };
  class List;

  Entry* entry_ = nullptr;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FORK_CLOSED_FILE_H_
