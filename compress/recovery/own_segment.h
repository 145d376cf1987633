// Opens the segments that recovery may read as evidence, or change.
//
// A ring names its segments by numbers, and anybody who may write to the
// directory can put a file under such a name. Therefore recovery touches a file
// only through OpenOwnSegment(), which checks the open descriptor and never a
// name alone.

#ifndef RINGLOG_COMPRESS_RECOVERY_OWN_SEGMENT_H_
#define RINGLOG_COMPRESS_RECOVERY_OWN_SEGMENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/directory.h"

namespace ringlog {

enum class SegmentAccess {
  kRead,   // for reading; the lock is not taken
  kWrite,  // for reading and writing, with the lock
};

// Opens the file `name` in `directory` as a segment of the ring `ring_id`,
// below the open directory and not through a symlink. Returns it only if all of
// these are true:
//
//   - it is a regular file, which this process's user made and no other user
//     may write to (Directory::CheckIsOwn())
//   - no other process writes to it (file_lock.h)
//   - no metadata frame identifies it as the segment of another ring. All 16
//     bytes of the ring ids are compared
//   - it has one name. A file with more names is replaced by a copy, so that
//     the file under the other names keeps its bytes; see
//     Directory::ReplaceByCopy()
//
// Thread-safe for different directories.
//   NotFound:         no such file
//   PermissionDenied: a check failed: the file is foreign. The message has the
//                     path and the cause
//   others:           errors of opening, reading and copying the file, which
//                     prove nothing about it
absl::StatusOr<SegmentFile> OpenOwnSegment(Directory* directory,
                                           const std::string& name,
                                           const RingId& ring_id,
                                           SegmentAccess access);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_OWN_SEGMENT_H_
