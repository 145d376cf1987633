// Operations on files and paths that the layers share: opening,
// listing, reading, syncing, deleting, and the parts of a path.
//
// The functions are thread-safe.

#ifndef RINGLOG_RING_OS_FILE_OPS_H_
#define RINGLOG_RING_OS_FILE_OPS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringlog {

// Calls open(2) with O_CLOEXEC. Never returns the descriptor number of stdin,
// stdout or stderr: if the program has closed one of them, other code still
// writes to that number. A placeholder that can be neither read nor written
// takes such a number first and is closed at an exec, so that reads and writes
// fail as before.
//
// Returns -1 and sets errno on an error; the file has not been created then.
//
// Context: any thread, also in a forked child; no lock, no allocation.
int OpenFile(const char* path, int flags, mode_t mode = 0);
// Opens a path below the open directory `directory`, as openat(2) does.
int OpenFileAt(int directory, const char* path, int flags, mode_t mode = 0);

// Returns absl::ErrnoToStatus(), but NotFound for ENOENT alone, because callers
// take NotFound for a file that another process has deleted. The other errors
// that Abseil maps to NotFound, such as a device that is gone, become
// Unavailable.
absl::Status FileStatus(int error, absl::string_view message);

// Returns the error of a system call as one that proves nothing about a file:
// with the code Unavailable instead of PermissionDenied, which would mean that
// the file was looked at and is foreign.
absl::Status ProvesNothing(const absl::Status& error);

// Returns `status` with `path` in front of its message.
absl::Status PrependPath(const absl::Status& status, absl::string_view path);

// Returns true if the file has no name any more, and false if fstat(2) fails.
// Callers check this after LockFile(), because another process may delete a
// file between its opening and its locking.
bool IsDeleted(int fd);

// Returns a path that names the open file `fd`, whatever other processes
// rename, until it is closed. For functions that take paths. Requires: /proc is
// mounted.
std::string DescriptorPath(int fd);

// Renames `from` to `to`, both below the open `directory`, unless there is a
// file `to`. Returns false and sets errno to EEXIST if there is one; otherwise
// errors are those of renameat2(2). If the file system cannot do that in one
// step, another process may make `to` between the check and the renaming: its
// file is replaced, or, if this process may not do that, errno is EEXIST.
bool RenameToNew(int directory, const std::string& from, const std::string& to);

// Returns true if there is no file `path`; symlinks are not followed. Returns
// false if lstat(2) fails for any other reason.
bool FileIsGone(const std::string& path);

// Deletes a file, if it exists. Errors are those of unlink(2), with the path.
absl::Status DeleteFile(const std::string& path);

// Returns the names in a directory, sorted, with "." and "..". Returns none if
// the directory does not exist, and if it cannot be read. Only in the second
// case sets `*status`, if given, to the error of opendir(3) or readdir(3), with
// the path.
std::vector<std::string> ListDirectory(const std::string& path,
                                       absl::Status* status = nullptr);

// Calls fsync(2) on a directory, so that the names of files that were created
// or renamed there survive machine death. Errors are those of open(2) and
// fsync(2) as FileStatus(), with the path.
absl::Status SyncDirectory(const std::string& path);

// A copy of a file's bytes. It is not a mapping, because another process may
// shorten the file at any moment, and reading a mapping beyond the end of its
// file ends the process.
struct FileContent {
  std::unique_ptr<char[]> data;
  size_t size = 0;

  absl::string_view view() const { return {data.get(), size}; }
};

// Reads at most the first `max_bytes` bytes of a regular file of at most
// `max_file_bytes` bytes. Returns fewer bytes if the file becomes shorter
// meanwhile. `path` is only for messages.
//   InvalidArgument    not a regular file, or a longer one
//   ResourceExhausted  no memory
//   others             errors of fstat(2) and read(2)
// All messages have the path.
absl::StatusOr<FileContent> ReadFileContent(int fd, const std::string& path,
                                            uint64_t max_file_bytes,
                                            uint64_t max_bytes);

// Returns the part of `path` after the last slash.
absl::string_view Basename(absl::string_view path);

// Returns the part of `path` before the last slash: "." if there is no slash,
// "/" if the only one is the first character.
std::string Dirname(absl::string_view path);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FILE_OPS_H_
