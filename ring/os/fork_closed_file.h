// ForkClosedFile
//
// A file that forked children do not keep, neither open nor mapped. A lock of
// flock(2) belongs to the open file, not to the process, and a mapping keeps
// the file open: a child that had either would hold the lock for as long as it
// lives, and its dead parent's ring would look alive.

#ifndef RINGLOG_RING_OS_FORK_CLOSED_FILE_H_
#define RINGLOG_RING_OS_FORK_CLOSED_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace ringlog {

// Thread-compatible. Owns the descriptor, which is close-on-exec, and the
// mapping. A child finds the descriptor closed, and in place of the mapping
// memory of its own, zeros, so that what still refers to it does no harm.
//
// fork() waits while a file is being opened or mapped, so that no child gets
// one that it does not know of. A child of vfork() or posix_spawn() has it
// until it execs.
class ForkClosedFile {
 public:
  // OpenFile(). If that fails fd() is -1, and errno says why.
  static ForkClosedFile Open(const std::string& path, int flags,
                             mode_t mode = 0);
  // For memory without a file.
  static ForkClosedFile Anonymous();

  ForkClosedFile() = default;
  ForkClosedFile(ForkClosedFile&& other) noexcept;
  ForkClosedFile& operator=(ForkClosedFile&& other) noexcept;
  // Lets go of the lock, if it has one, unmaps and closes.
  ~ForkClosedFile();

  // Maps the first `bytes`, shared and writable: mmap(2)'s result, and errno.
  // Requires: nothing has been mapped yet.
  void* Map(size_t bytes);

  // -1 if there is none: also in a forked child.
  int fd() const { return entry_ == nullptr ? -1 : entry_->fd; }

 private:
  // Of the list of all that there are.
  struct Entry {
    int fd = -1;
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
