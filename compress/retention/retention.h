// ExcessFiles(): the pure function that decides which log files of a program
// are deleted. It accesses no file.

#ifndef RINGLOG_COMPRESS_RETENTION_RETENTION_H_
#define RINGLOG_COMPRESS_RETENTION_RETENTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/file_name.h"

namespace ringlog {

// Number of leftover rings that are never deleted, the newest ones. There are
// unrecovered rings if no process lives long enough, or if recovery fails.
inline constexpr size_t kSparedLeftovers = 64;

// One file of the program.
struct LogFile {
  std::string path;
  FileKind kind = FileKind::kSegment;  // or kRing
  uint32_t ring_id_prefix = 0;
  uint64_t segment_number = 0;
  absl::Time begun;     // from its name, in seconds
  absl::Time modified;  // from the file system
  uint64_t bytes = 0;
  // Whether the file must stay: it is in use, or could not be deleted.
  bool stays = false;
  // Whether the file is not in the directory of the segments, so that its
  // deletion does not free space there.
  bool is_elsewhere = false;
};

// Returns the indexes of the files to delete, in the order of deletion:
// segments and then leftover rings, the oldest first. These files stay:
//   - a file with `stays`
//   - the last segment of a ring that is among `files`, because its process or
//   a
//     recovery may be writing to it
//   - the newest kSparedLeftovers leftover rings
//
// A file that was begun more than a day after `now` counts as the oldest: the
// files of a clock that was wrong once must not displace later ones. The
// segments of one ring are in the order of their numbers, even if the clock was
// set back.
//
// Ignores min_free_bytes if `free_bytes` is not known.
std::vector<size_t> ExcessFiles(absl::Span<const LogFile> files,
                                const RetentionOptions& options, absl::Time now,
                                std::optional<uint64_t> free_bytes);

// Returns the free bytes after the deletion of `deleted_bytes`, at most the
// largest number.
std::optional<uint64_t> FreeBytesAfter(std::optional<uint64_t> free_bytes,
                                       uint64_t deleted_bytes);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_H_
