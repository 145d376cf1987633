// The output of `ringlog recover`: a directory in which a segment appears when
// it is complete, or not at all.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Names of the lock file and of staging directories begin with this prefix.
inline constexpr absl::string_view kRecoverPrefix = ".ringlog-recover.";
// The mode of a staging directory.
inline constexpr mode_t kStagingMode = 0700;

// Every file is created, renamed and deleted below the open directory, so that
// another user who renames a directory on the way, or replaces it by a symlink,
// cannot direct the output to other files.
//
// Thread-compatible. Holds a lock for its lifetime. The lock is on a file in
// the directory, because this kind of lock (file_lock.h) needs a descriptor
// that is open for writing, and a directory has none.
class RecoverOutput {
 public:
  // Opens and locks the directory. Creates it, with mode 0755 less the umask,
  // if it does not exist and its parent does. Deletes the staging directories
  // of runs that were killed.
  //   FailedPrecondition: another `ringlog recover` writes to it, or /proc is
  //                       not mounted
  //   InvalidArgument:    a symlink
  //   PermissionDenied:   one of these:
  //                       - the directory belongs to a user other than root and
  //                         the user of this process
  //                       - it is not sticky, and others, or a group other than
  //                         the group of this process, may write to it
  //                       - its lock file belongs to another user, or other
  //                         users may write to the file
  //   Unavailable:        other processes delete the lock file again and again
  //   Unimplemented:      the file system has no locks
  //   others:             those of mkdir(2), open(2), fsync(2) and fcntl(2)
  static absl::StatusOr<std::unique_ptr<RecoverOutput>> Open(
      const std::string& path);
  // Deletes the lock file.
  ~RecoverOutput();
  RecoverOutput(const RecoverOutput&) = delete;
  RecoverOutput& operator=(const RecoverOutput&) = delete;

  const std::string& path() const { return directory_.path(); }
  // Returns true if `directory` is this directory.
  bool Is(const std::string& directory) const;

  Directory* directory() { return &directory_; }

 private:
  explicit RecoverOutput(Directory directory)
      : directory_(std::move(directory)) {}
  absl::Status CheckIsTrusted();
  absl::Status Lock();
  void DeleteStaleStagings();

  Directory directory_;
  // Holds the lock.
  ForkClosedFile lock_file_;
};

// Deletes all files in `directory`, and then the directory itself, which has
// the name `name` in `parent`. Ignores errors, such as that of a directory in
// it.
void DeleteStaging(const Directory& directory, const Directory& parent,
                   const std::string& name);

// Returns `text` with the path of `directory` in place of its DescriptorPath().
std::string WithPathOf(const Directory& directory, absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_
