// Private directories of users in /dev/shm, for rings whose own directory is on
// a file system without locks.
//
// Every user may create files in /dev/shm, and another one may take a name
// first. A user's directory therefore has one of several names, and counts only
// if it belongs to the user and has no rights for others:
//
//   /dev/shm/ringlog-1000, /dev/shm/ringlog-1000.1, ... /dev/shm/ringlog-1000.9
//
// The functions are thread-safe.

#ifndef RINGLOG_RING_OS_SHARED_MEMORY_DIRECTORY_H_
#define RINGLOG_RING_OS_SHARED_MEMORY_DIRECTORY_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ringlog {

// Returns the directories of `user`. If there is none, returns the one that
// MakeSharedMemoryDirectory() would create for that user now, so that a search
// also finds a directory that is created later.
std::vector<std::string> SharedMemoryDirectories(uid_t user);

// Returns a directory of this process's user, and creates it if there is none.
//   AlreadyExists: other users have taken all names; the message has one
//   others:        those of MakeDirectory() (directory_trust.h)
absl::StatusOr<std::string> MakeSharedMemoryDirectory();

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_SHARED_MEMORY_DIRECTORY_H_
