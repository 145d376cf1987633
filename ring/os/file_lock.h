// Locks that show that a process has a file open for writing.
//
// These are open-file-description write locks of the whole file (fcntl(2),
// F_OFD_SETLK with F_WRLCK). Only a descriptor that is open for writing can
// hold one, and IsLocked() asks with F_RDLCK, which ignores the locks of mere
// readers. Therefore a process that may only read a file cannot make the file
// look as if its writer were alive. flock(2) does not have this property.
//
// A lock belongs to the open file description, which fork(2) and dup(2) share
// between descriptors, and which a mapping keeps. The lock lasts until all
// descriptors and mappings of the description are gone, or until UnlockFile().
//
// Thread-safe. The functions allocate memory only for the text of an error.

#ifndef RINGLOG_RING_OS_FILE_LOCK_H_
#define RINGLOG_RING_OS_FILE_LOCK_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringlog {

// Locks a file without waiting. Requires: `fd` is open for writing. `path` is
// only for messages.
//   FailedPrecondition: another open file description holds a lock, which is a
//                       write lock if IsLocked() returns true, and a reader's
//                       otherwise
//   Unimplemented:      the file system has no such locks
//   others:             errors of fcntl(2)
absl::Status LockFile(int fd, absl::string_view path);

// Returns true if another open file description holds a write lock. Takes no
// lock. `fd` may be open for reading only.
//   Unimplemented: the file system has no such locks
//   others:        errors of fcntl(2)
absl::StatusOr<bool> IsLocked(int fd, absl::string_view path);

// Unlocks the file, for all descriptors of the open file description. Does
// nothing if LockFile() has not locked it. Ignores errors.
void UnlockFile(int fd);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FILE_LOCK_H_
