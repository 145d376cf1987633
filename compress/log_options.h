// LineFormat, RotationOptions, RetentionOptions: the options of a log's
// segments. Plain values, without behavior.

#ifndef RINGLOG_COMPRESS_LOG_OPTIONS_H_
#define RINGLOG_COMPRESS_LOG_OPTIONS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace ringlog {

// The form of a record in a segment (compress/FORMAT.md). These values are
// frozen in the segment format. CONTRIBUTING.md, "Formats", lists the places
// that change with a new one.
enum class LineFormat : uint8_t {
  // I20261123 02:03:04.123456 12345 file.cc:42] text
  //
  // glog's form, with the year, in UTC. A line that begins with a tab continues
  // the text. A line that begins with a space has further fields of the record.
  kText = 0,
  // {"time":"2026-11-23T02:03:04.123456789Z","severity":"INFO",...}
  //
  // One object per line.
  kJson = 1,
};

// The conditions for closing a segment; either one suffices. The next segment
// begins with the next record, so an idle process makes no empty segments.
struct RotationOptions {
  // Compressed bytes of a segment. 0: no limit. A segment may exceed the limit
  // by one batch. Default: 64 MiB.
  uint64_t max_segment_bytes = uint64_t{64} << 20;

  // A segment is closed at each multiple of `interval` since 1970 (UTC), moved
  // by `offset`. 0: never. An interval of 24 hours and an offset of -1 hour
  // mean midnight at UTC+1. Daylight saving time does not change these moments.
  // The system clock counts, not the times of records. Default: never.
  absl::Duration interval = absl::ZeroDuration();
  absl::Duration offset = absl::ZeroDuration();
};

// Limits for the files of one program and one user in one directory, including
// the files of all its processes and of earlier runs. All limits apply at once.
// If one is exceeded, the oldest segments are deleted, by a thread that the log
// does not wait for. Default: no limits.
//
// Never deleted:
//
//   - a segment that is being written or recovered
//   - the ring of a live process
//   - a file that is not, by its name and its content, a file of this program
//   - a file of another user, a file with several names, or one that other
//     users may write to, unless the mode of the program's segments permits it
//
// Files that are never deleted because of the last rule do not count either. If
// a limit would be exceeded with them, stderr reports that once, with a command
// that lists them. If the locks of a file system do not work, nothing shows
// whether a segment is being written: then it is not deleted, which is counted
// and reported as an error.
//
// A leftover ring is not deleted before its records are in segments. Recovery
// moves them at the next start, or within a minute if another process logs into
// the directory. The one exception keeps a program that dies at every start
// from filling the disk: if max_bytes or min_free_bytes is exceeded and no
// segment is left to delete, the oldest leftover rings are deleted, except for
// the newest 64. Leftover rings on another file system than the segments are
// deleted if they alone exceed max_bytes.
//
// Cost: a thread lists the directory when a segment begins or is closed, and
// once a minute, for some milliseconds. The end of the process waits for it,
// but at most five seconds.
struct RetentionOptions {
  // Maximum number of segments, including those that are being written. 0: no
  // limit.
  uint64_t max_files = 0;

  // Maximum bytes of segments and rings on the disk. A hole does not count. The
  // rings of other live processes and of forked children count, and leftover
  // rings until they are recovered. Rings do not push out the newest segments:
  //
  //   - They count with at most three quarters of max_bytes. If they have more,
  //     they and the remaining quarter of segments may exceed it.
  //   - Rings on another file system than the segments do not count.
  //
  // The limit holds soon after a segment begins or is closed, and after rings
  // have been recovered. At other times, the segments that are being written
  // may exceed it. 0: no limit.
  uint64_t max_bytes = 0;

  // Maximum time since a segment was last written to. 0: no limit.
  absl::Duration max_age = absl::ZeroDuration();

  // Minimum of free bytes on the file system of the segments. 0: no limit. If
  // the system does not report its free bytes, nothing is deleted for this
  // limit, and stderr reports that. A user who may fill the file system can
  // make this limit delete all closed segments.
  uint64_t min_free_bytes = 0;

  bool has_limit() const {
    return max_files != 0 || max_bytes != 0 || max_age > absl::ZeroDuration() ||
           min_free_bytes != 0;
  }
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LOG_OPTIONS_H_
