// Decides which log files of a program retention deletes: a pure function,
// which accesses no file.

#ifndef RINGLOG_COMPRESS_RETENTION_RETENTION_H_
#define RINGLOG_COMPRESS_RETENTION_RETENTION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"

namespace ringlog {

// Number of the newest leftover rings that are never deleted. Rings remain
// unrecovered if no process lives long enough to recover them, or if recovery
// fails.
inline constexpr size_t kSparedLeftovers = 64;

// A log file of the program.
struct LogFile {
  std::string path;
  FileKind kind = FileKind::kSegment;  // or kRing
  RingId ring_id = {};
  uint64_t segment_number = 0;
  absl::Time begun;     // time in its name
  absl::Time modified;  // time of its last write
  // Bytes on the disk. A hole takes none.
  uint64_t bytes = 0;
  // True if it must not be deleted: a process uses it, or deleting it failed.
  bool stays = false;
  // True if it is not on the file system of the segments, so that deleting it
  // frees no bytes there.
  bool is_elsewhere = false;
  // True if it is in a directory of rings alone.
  bool is_in_ring_directory = false;
  dev_t device = 0;
  ino_t inode = 0;
};

// Returns the indexes of the files to delete, in this order. In addition to
// files with `stays`, keeps the last segment of each ring in `files`, because
// the ring's process, or recovery, may be writing to that segment.
//
// The oldest files are deleted first:
//
//   - Files that were begun more than a day after `now` count as the oldest. If
//     the clock was wrong once, those files must not push out new ones.
//   - The segments of one ring are ordered by their numbers, whatever their
//     times are.
//
// Rings do not push out the newest segments:
//
//   - The rings on the file system of the segments count with at most three
//     quarters of max_bytes, so that segments always have a quarter. If
//     segments and rings together still exceed max_bytes, the oldest leftover
//     rings are deleted.
//   - Rings elsewhere do not count. If they alone exceed max_bytes, the oldest
//     leftover rings there are deleted.
//
// If `free_bytes` is not known, deletes nothing for min_free_bytes.
std::vector<size_t> ExcessFiles(absl::Span<const LogFile> files,
                                const RetentionOptions& options, absl::Time now,
                                std::optional<uint64_t> free_bytes);

// Returns the number of free bytes after the deletion of `deleted_bytes`. The
// sum saturates at the greatest uint64_t.
std::optional<uint64_t> FreeBytesAfter(std::optional<uint64_t> free_bytes,
                                       uint64_t deleted_bytes);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_H_
