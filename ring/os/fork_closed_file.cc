#include "ringlog/ring/os/fork_closed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {

namespace {

// Returns the time at which the file was made, in nanoseconds; 0 if it is not
// known: not every file system stores it, and a filter of system calls may
// refuse statx(2).
int64_t BirthTimeNs(int fd) {
  struct statx stx;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) != 0 ||
      (stx.stx_mask & STATX_BTIME) == 0) {
    return 0;
  }
  constexpr int64_t kSecondNs = 1000000000;
  return stx.stx_btime.tv_sec * kSecondNs + stx.stx_btime.tv_nsec;
}

}  // namespace

int ForkClosedFile::Entry::OwnFd() const {
  if (fd < 0 || has_lost_fd) return -1;
  struct stat st;
  // Another error than EBADF, for example of a remote file system, does not
  // show that the program has closed the descriptor.
  if (fstat(fd, &st) != 0) return errno == EBADF ? -1 : fd;
  if (FileIdentity::Of(st) != identity) return -1;
  // A deleted file's inode number may be that of the program's next file.
  const int64_t birth = birth_time_ns == 0 ? 0 : BirthTimeNs(fd);
  return birth == 0 || birth == birth_time_ns ? fd : -1;
}

// The open files, in lists by descriptor, so that an entry is found without a
// search through thousands. No method allocates or frees while it holds the
// mutex, because another library's fork handler may hold the allocator's lock
// while ours waits for the mutex. The mutex is not an absl::Mutex, because
// unlocking one in a child is not supported.
class ForkClosedFile::List {
 public:
  // Adds the entry. Opens `path` with OpenFileAt(); if `path` is null, opens
  // nothing. An entry that had the same descriptor loses it.
  static void Add(Entry* entry, int directory, const char* path, int flags,
                  mode_t mode) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (path != nullptr && !Open(entry, directory, path, flags, mode)) return;
    Entry*& first = FirstOf(*entry);
    // The program has closed the descriptor of such an entry. If both have the
    // same file, only this shows to which of them the number belongs.
    for (Entry* other = first; other != nullptr; other = other->next) {
      if (other->fd == entry->fd) other->has_lost_fd = true;
    }
    entry->is_listed = true;
    entry->next = first;
    if (first != nullptr) first->previous = entry;
    first = entry;
  }

  static void* Map(Entry* entry, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    void* const memory = mmap(
        nullptr, bytes, PROT_READ | PROT_WRITE,
        entry->fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, entry->fd, 0);
    if (memory == MAP_FAILED) return memory;
    entry->memory = memory;
    entry->bytes = bytes;
    return memory;
  }

  // Unlocks, unmaps and closes the entry's file, and removes the entry, so that
  // a child has either all of it or none.
  static void Close(Entry* entry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (entry->memory != nullptr) munmap(entry->memory, entry->bytes);
    if (const int fd = entry->OwnFd(); fd >= 0) {
      // Unlocks explicitly: closing alone would not unlock if a child that was
      // forked meanwhile has not closed its copy yet.
      UnlockFile(fd);
      close(fd);
    }
    if (!entry->is_listed) return;
    entry->is_listed = false;
    (entry->previous == nullptr ? FirstOf(*entry) : entry->previous->next) =
        entry->next;
    if (entry->next != nullptr) entry->next->previous = entry->previous;
  }

 private:
  static constexpr unsigned kLists = 256;

  // Returns the first entry of the list that `entry` belongs to.
  static Entry*& FirstOf(const Entry& entry) {
    return first_[static_cast<unsigned>(entry.fd) % kLists];
  }

  static bool Open(Entry* entry, int directory, const char* path, int flags,
                   mode_t mode) {
    const int fd = OpenFileAt(directory, path, flags, mode);
    if (fd < 0) return false;
    struct stat st;
    if (fstat(fd, &st) != 0) {
      const int error = errno;
      close(fd);
      constexpr int kCreates = O_CREAT | O_EXCL;
      if ((flags & kCreates) == kCreates) unlinkat(directory, path, 0);
      errno = error;
      return false;
    }
    entry->fd = fd;
    entry->identity = FileIdentity::Of(st);
    entry->birth_time_ns = BirthTimeNs(fd);
    return true;
  }

  // Closes and unmaps all files. Makes only system calls. Entries keep their
  // owners.
  static void ReleaseInChild() {
    for (Entry*& first : first_) Release(std::exchange(first, nullptr));
    mutex_.unlock();
  }

  // Closes and unmaps the files of one list.
  static void Release(Entry* first) {
    for (Entry* entry = first; entry != nullptr; entry = entry->next) {
      if (entry->memory != nullptr &&
          mmap(entry->memory, entry->bytes, PROT_READ | PROT_WRITE,
               MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
               0) == MAP_FAILED) {
        munmap(entry->memory, entry->bytes);
        entry->memory = nullptr;
      }
      if (const int fd = entry->OwnFd(); fd >= 0) close(fd);
      entry->fd = -1;
      entry->is_listed = false;
    }
  }

  static bool Register() {
    return pthread_atfork([] { mutex_.lock(); }, [] { mutex_.unlock(); },
                          &ReleaseInChild) == 0;
  }

  static std::mutex mutex_;
  static Entry* first_[kLists];
  static const bool is_registered_;
};

std::mutex ForkClosedFile::List::mutex_;
ForkClosedFile::Entry* ForkClosedFile::List::first_[kLists] = {};
// A dynamic initializer, because the handlers must be registered before any
// code can fork.
const bool ForkClosedFile::List::is_registered_ = Register();

ForkClosedFile ForkClosedFile::Open(const std::string& path, int flags,
                                    mode_t mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

ForkClosedFile ForkClosedFile::OpenAt(int directory, const std::string& path,
                                      int flags, mode_t mode) {
  ForkClosedFile file;
  file.entry_ = new Entry;
  List::Add(file.entry_, directory, path.c_str(), flags, mode);
  return file;
}

ForkClosedFile ForkClosedFile::Anonymous() {
  ForkClosedFile file;
  file.entry_ = new Entry;
  List::Add(file.entry_, AT_FDCWD, nullptr, 0, 0);
  return file;
}

int ForkClosedFile::OwnFd() const {
  return entry_ == nullptr ? -1 : entry_->OwnFd();
}

void* ForkClosedFile::Map(size_t bytes) { return List::Map(entry_, bytes); }

ForkClosedFile::ForkClosedFile(ForkClosedFile&& other) noexcept
    : entry_(std::exchange(other.entry_, nullptr)) {}

ForkClosedFile& ForkClosedFile::operator=(ForkClosedFile&& other) noexcept {
  std::swap(entry_, other.entry_);
  return *this;
}

ForkClosedFile::~ForkClosedFile() {
  if (entry_ == nullptr) return;
  const int before = errno;
  List::Close(entry_);
  delete entry_;
  errno = before;
}

}  // namespace ringlog
