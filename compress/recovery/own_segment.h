// Opens the segments that recovery may read as evidence, or change.
//
// A ring names its segments by numbers, and anybody who may write to the
// directory can put a file under such a name. Therefore recovery touches a file
// only through OpenOwnSegment(), which checks the open descriptor and never a
// name alone.

#ifndef RINGLOG_COMPRESS_RECOVERY_OWN_SEGMENT_H_
#define RINGLOG_COMPRESS_RECOVERY_OWN_SEGMENT_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/directory.h"

namespace ringlog {

// The process whose segments are opened.
struct SegmentOwner {
  RingId ring_id;
  // Mode that its user gave to segments. It may permit the group or others to
  // write to them.
  mode_t permitted_mode = 0;
};

enum class SegmentAccess {
  kRead,   // opens the file for reading
  kWrite,  // opens the file for reading and writing, and locks it
};

// Opens the file `name` in `directory` as a segment of `owner`, below the open
// directory and not through a symlink. Returns it only if all of these are
// true:
//
//   - it is a regular file, which this process's user made and no other user
//     may write to, unless the permitted mode says so (Directory::CheckIsOwn())
//   - no other process holds a write lock on it (file_lock.h). If the file
//     system has no locks, this is not checked, and the lock of the ring is the
//     only protection
//   - no metadata frame identifies it as the segment of another ring. All 16
//     bytes of the ring ids are compared
//
// With kRead, the file may have several names. With kWrite:
//
//   - A file with several names is replaced by a copy, so that the file under
//     the other names keeps its bytes; see Directory::ReplaceByCopy().
//   - The returned file is locked. Exceptions: a reader holds a lock on it, or
//     the file system has no locks.
//
// Thread-safe for different directories.
//   NotFound:         the file does not exist, or was deleted meanwhile
//   PermissionDenied: a check failed: the file is foreign. The message has the
//                     path and the cause
//   Unimplemented:    the file has a later format version
//   others:           errors of opening, reading and copying the file, and of
//                     Directory::OwnOwner(), which prove nothing about it
absl::StatusOr<SegmentFile> OpenOwnSegment(Directory* directory,
                                           const std::string& name,
                                           const SegmentOwner& owner,
                                           SegmentAccess access);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_OWN_SEGMENT_H_
