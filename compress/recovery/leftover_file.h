// Opens and reads the files of leftover rings.
//
// The functions are thread-safe, those with a Directory for different ones.

#ifndef RINGLOG_COMPRESS_RECOVERY_LEFTOVER_FILE_H_
#define RINGLOG_COMPRESS_RECOVERY_LEFTOVER_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_recovery.h"

namespace ringlog {

// Reads a ring's header. `flags` are added to those of open(2). Errors are
// those of open(2), ReadFileContent() and ParseRingHeader().
absl::StatusOr<RingHeader> ReadRingHeader(const std::string& path, int flags);

// Returns true if a ring with `header` has its segments in `segment_directory`.
// `is_in_same_directory`: the ring itself is there.
bool WritesSegmentsTo(const RingHeader& header, bool is_in_same_directory,
                      const std::string& segment_directory);

// Returns InvalidArgument if the ring at `path` does not have the name that its
// header implies. It may be a copy then, and the process of the original may be
// alive: the lock of the copy shows nothing about it. The message names the
// `command` that helps.
absl::Status CheckRingName(const RingHeader& header, const std::string& path,
                           absl::string_view command);

// Opens the ring `name` in `directory`, not through a symlink, and locks it
// until the file is closed. A living owner or another recovery holds that lock.
// A child of fork(2) closes the file, which does not unlock it for this
// process; a child of vfork(2) has the file until it calls exec(2). A ring may
// have several names: recovery does not write to it.
//   PermissionDenied:   not a regular file; or another user made the ring, or
//                       may write to it (Directory::CheckIsOwn())
//   FailedPrecondition: another process holds a lock on the ring
//   Unimplemented:      the file system has no locks (file_lock.h)
//   NotFound:           the ring does not exist, or another process has
//                       deleted or replaced it meanwhile
//   others:             those of open(2)
absl::StatusOr<ForkClosedFile> OpenLeftover(Directory* directory,
                                            const std::string& name);

// Reads the header of the ring `name` in `directory`, if it appears to be left
// over: no process holds its lock, and it is not true that its owner is alive
// and maps the ring. (A lock alone may get lost, for example by the restart of
// a file server.) Cheap. Takes no lock.
//   PermissionDenied:   not a regular file; or another user made the ring, or
//                       may write to it
//   FailedPrecondition: another process holds the lock; or the owner is alive
//                       and maps the ring
//   others:             those of ReadRingHeader() and IsLocked()
absl::StatusOr<RingHeader> ReadLeftoverHeader(Directory* directory,
                                              const std::string& name);

// A leftover ring that is read piece by piece.
struct LeftoverRing {
  ForkClosedFile file;  // not set if the caller has opened the file
  std::unique_ptr<FileSource> source;
  // Positioned before the first record at or after the persist cursor; before
  // the first record of all if the latest cursor is damaged.
  std::unique_ptr<RingRecovery> ring;
};

// Reads the open ring `fd`, which must stay open as long as the result is used.
// `path` is the ring's path: a living owner uses the ring if it maps a file
// with the same name, without directories. The caller's own process id in the
// header is that of another container's process, and no sign of life.
// Requires: no other process holds its lock.
//   FailedPrecondition: its owner is alive and maps the ring
//   others:             those of ReadFileContent(), FileSource,
//                       ParseRingHeader() and RingRecovery::Start()
absl::StatusOr<LeftoverRing> ReadLeftover(int fd, const std::string& path);

// Reads a ring that is not deleted afterwards: opens it for reading, and tests
// the lock without keeping it. The test is enough, because no process writes to
// the ring of a dead process. Follows symlinks, and does not check whose the
// ring is.
//   FailedPrecondition: another process holds the lock; or the owner is alive
//                       and maps the ring
//   others:             those of ReadLeftover(fd, path), IsLocked() and open(2)
absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path);

// Reads a ring whose headers are damaged, with a header from
// RebuildRingHeader(). That header does not identify the owner, so only the
// lock shows whether the ring is in use. The same errors, but those of
// ParseRingHeader().
absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path,
                                          const RingHeader& header);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_FILE_H_
