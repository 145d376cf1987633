// Directory
//
// An open directory and the files in it. Open() may follow a symlink of a
// trusted user; the operations on files follow none. They take the name of a
// file, not a path: another process that renames a parent directory, or puts a
// symlink in its place, cannot direct the operation to other files.

#ifndef RINGLOG_RING_OS_DIRECTORY_H_
#define RINGLOG_RING_OS_DIRECTORY_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Thread-compatible: const methods may run at the same time. The methods that
// may ask for the owner of new files are not const.
//
// Requires: each `name` has no '/'.
//
// In a forked child, and after the program has closed the descriptor, the
// operations on the directory and its files fail with EBADF, and Names()
// returns false. Exception: OwnOwner() may still remember its result. Each
// returned absl::Status has the path in its message.
class Directory {
 public:
  // Opens the directory `path`. `flags` are added to those of open(2), for
  // example O_NOFOLLOW. Errors are those of OpenTrustedDirectory()
  // (directory_trust.h): a symlink of a foreign user is refused.
  static absl::StatusOr<Directory> Open(const std::string& path, int flags = 0);

  Directory(Directory&&) = default;
  Directory& operator=(Directory&&) = default;

  const std::string& path() const { return path_; }
  // Returns the path of the file `name`, for messages.
  std::string PathOf(absl::string_view name) const;

  // Opens a file as open(2) does, with O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC. On
  // an error, fd() of the result is -1 and errno is set. O_NONBLOCK, because
  // opening a pipe would block otherwise.
  ForkClosedFile OpenFile(const std::string& name, int flags,
                          mode_t mode = 0) const;

  // Opens the directory `name` below this one. Errors are those of open(2);
  // that of a symlink is ENOTDIR or ELOOP.
  absl::StatusOr<Directory> OpenDirectory(const std::string& name) const;

  // Creates a directory. Errors are those of mkdir(2).
  absl::Status MakeDirectory(const std::string& name, mode_t mode) const;

  // Deletes an empty directory, if it exists. Errors are those of rmdir(2).
  absl::Status DeleteDirectory(const std::string& name) const;

  // Reads the inode of the directory. Errors are those of fstat(2).
  absl::StatusOr<struct stat> Stat() const;

  // Returns a path of the directory that names it until this object is
  // destroyed, whatever other processes rename. For functions that take paths.
  // Requires: /proc is mounted, and the program has not closed the descriptor.
  std::string DescriptorPath() const;

  // Reads the inode of a file, or of a symlink.
  //   NotFound: no such file
  //   others:   errors of stat(2)
  absl::StatusOr<struct stat> Stat(const std::string& name) const;

  // Returns true if `name` is a name of the open file `fd`: if no other process
  // has deleted, renamed or replaced it.
  bool Names(const std::string& name, int fd) const;

  // Returns the names in the directory, sorted, with "." and "..". Errors are
  // those of opendir(3) and readdir(3).
  //
  // Memory: that of all names. If others may write to the directory, use the
  // second function.
  absl::StatusOr<std::vector<std::string>> List() const;
  // Returns only the names for which `keeps` returns true, so that foreign
  // files take no memory. `keeps` may use this object. A file that is created
  // or deleted meanwhile may be missing or not.
  absl::StatusOr<std::vector<std::string>> List(
      absl::FunctionRef<bool(const std::string&)> keeps) const;

  // Deletes a file, if it exists. Errors are those of unlink(2).
  absl::Status Delete(const std::string& name) const;

  // Renames a file, and replaces the file `to`. Errors are those of rename(2).
  absl::Status Rename(const std::string& from, const std::string& to) const;

  // Renames a file, unless there is a file `to`. On file systems without
  // renameat2(2), another process may make `to` meanwhile, and loses it.
  //   AlreadyExists: there is a file `to`
  //   others:        errors of renameat2(2)
  absl::Status RenameToNew(const std::string& from,
                           const std::string& to) const;

  // Renames a file into the directory `target`, and replaces the file with that
  // name there. Errors are those of rename(2).
  absl::Status RenameInto(const Directory& target,
                          const std::string& name) const;

  // Returns a name that other users cannot predict. A process that creates a
  // file of this name must lock it (file_lock.h): DeleteIfStale() deletes it if
  // it is not locked.
  static std::string NewTemporaryName();

  // Copies the open file `fd` and gives its name `name` to the copy. The file
  // keeps its other names and its bytes. Returns the copy, open for reading and
  // writing, and locked (file_lock.h) before it has the name. The copy has the
  // holes and the mode of the file; if its group is another one, that group
  // gets no rights. If the process dies meanwhile, a file stays that
  // DeleteIfStale() deletes. If another process gives `name` to another file
  // between the last check and the rename, the copy replaces that file.
  //   NotFound:    `name` is no name of `fd` any more
  //   Unavailable: another process has deleted the copy
  //   others:      errors of creating, reading, writing, syncing, locking and
  //                renaming a file
  absl::StatusOr<ForkClosedFile> ReplaceByCopy(const std::string& name,
                                               int fd) const;

  // Deletes the file `name` if a killed process of this user left it: if it
  // has a NewTemporaryName() and no process has locked it, or is the file that
  // an OwnOwner() made. Without locks in the file system, the first one stays.
  void DeleteIfStale(const std::string& name);

  // Makes created, renamed and deleted names durable. Errors are those of
  // fsync(2).
  absl::Status Sync() const;

  // Checks that an open file is one that this process, or another process of
  // its user, made: a regular file with the OwnOwner(), and not writable by its
  // group or by others. `permitted` are the bits of a mode that its user gave
  // to such files: they may have these write permissions.
  //   PermissionDenied: it is not
  //   Unavailable:      its file system lets other users write to each file,
  //                     whatever its mode should be
  //   others:           those of OwnOwner() and fstat(2)
  // Only PermissionDenied proves something about the file.
  absl::Status CheckIsOwn(int fd, absl::string_view name, mode_t permitted = 0);

  // Returns the owner that fstat(2) reports for a file that this process
  // creates in the directory. It may differ from geteuid(): a file system may
  // map owners (NFS with root_squash, CIFS, an idmapped mount). Creates a file
  // without a name, or with a random name that is deleted at once; remembers
  // the result until geteuid() changes.
  //   Unavailable: the user namespace maps other users to this owner too, so
  //                it does not show whose a file is; or this process may not
  //                create a file
  //   others:      other errors of creating a file, never PermissionDenied
  absl::StatusOr<uid_t> OwnOwner();

 private:
  Directory(std::string path, ForkClosedFile file)
      : path_(std::move(path)), file_(std::move(file)) {}
  absl::StatusOr<struct stat> StatOfNewFile() const;

  struct Owner {
    uid_t for_user = 0;
    uid_t owner = 0;
    // Write permissions of others that a file has which was made without them.
    mode_t forced = 0;
  };

  std::string path_;
  ForkClosedFile file_;
  std::optional<Owner> owner_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_DIRECTORY_H_
