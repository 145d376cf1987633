// Creation of log directories, and checks of existing ones: which other users
// can delete the files there, or make this process create files elsewhere.
//
// Root is trusted. The functions are thread-safe.

#ifndef RINGLOG_RING_OS_DIRECTORY_TRUST_H_
#define RINGLOG_RING_OS_DIRECTORY_TRUST_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Opens the directory `path`. `flags` are added to those of open(2). Follows
// symlinks in `path`. If the last part of it is a symlink, this symlink must
// belong to this user, to root or to the owner of the directory that it is in,
// and so must the one that it points to, and so on. Any other user may have put
// it there so that this process writes somewhere else.
//   PermissionDenied: there is a symlink of another user, or no permission
//   NotFound:         no such directory
//   others:           errors of open(2), fstat(2) and readlink(2)
absl::StatusOr<ForkClosedFile> OpenTrustedDirectory(const std::string& path,
                                                    int flags);

// Creates the directory `path`, unless there is one. Its mode is `mode`, less
// what the umask takes from the group; the umask takes nothing from the owner.
//   NotFound:           its parent does not exist
//   FailedPrecondition: a file has this name
//   others:             errors of mkdir(2) and chmod(2)
absl::Status MakeDirectory(const std::string& path, mode_t mode = 0750);

// Returns PermissionDenied if other users than this one and root can delete or
// rename files in the directory `path`, or can put another directory in its
// place by a symlink; the message has the cause and the command that prevents
// it. Returns OK otherwise, and if the directory cannot be examined.
absl::Status CheckOthersCannotDelete(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_DIRECTORY_TRUST_H_
