// Which of a program's log files are too many: a decision as a pure function.
// Nothing here touches a file.

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

// Of rings that nobody has recovered: no process lives long enough, or it
// fails.
inline constexpr size_t kSparedLeftovers = 64;

// What is known of one file of the program.
struct LogFile {
  std::string path;
  FileKind kind = FileKind::kSegment;  // or kRing
  uint32_t ring_id_prefix = 0;
  uint64_t segment_number = 0;
  absl::Time begun;     // as its name says
  absl::Time modified;  // as the file system says
  uint64_t bytes = 0;
  // Somebody uses it, or it could not be deleted: it stays.
  bool stays = false;
  // Not on the file system of the segments: deleting it makes no room there.
  bool is_elsewhere = false;
};

// Indexes of what is to be deleted, in this order. Besides those that `stays`
// is set of, the last segment of each ring among the files stays: its process
// may be writing to it, or recovery may.
//
// Files that were begun more than a day after `now` are taken for the oldest: a
// clock that was wrong once shall not push out what is logged now. The segments
// of one ring go by their numbers, whatever the clock did.
//
// How much is free may not be known: then nothing goes because of it.
std::vector<size_t> ExcessFiles(absl::Span<const LogFile> files,
                                const RetentionOptions& options, absl::Time now,
                                std::optional<uint64_t> free_bytes);

// What is free when so much has been deleted; at most what a number can hold.
std::optional<uint64_t> FreeBytesAfter(std::optional<uint64_t> free_bytes,
                                       uint64_t deleted_bytes);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_H_
