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
#include "ringlog/compress/segment/file_name.h"

namespace ringlog {

// What is kept of one program's files in one directory, of all its processes,
// those of before too. All limits count at once; 0: none. The oldest segments
// are deleted first.
//
// Never deleted: a segment that is being written or recovered; the ring of a
// process that lives; what is not by its name and its content a file of this
// program.
//
// A ring that a process left when it died is not deleted before its records are
// in segments: the next start sees to that, and who lives meanwhile, within a
// minute (leftover_runner.h). There is one exception, for a program that dies
// as soon as it is started must not fill the disk: those beyond the newest
// kSparedLeftovers are deleted, the oldest first, when max_bytes or
// min_free_bytes demand it and there is no segment left to delete.
struct RetentionOptions {
  // Segments, those that are being written among them.
  uint64_t max_files = 0;
  // Of segments and rings, also those of other processes that run, forked
  // children among them: rings count in full, and cannot be deleted; that of a
  // child that is killed counts until it has been recovered, too. Holds when a
  // segment is begun or closed, and when rings have been recovered; in between
  // it is exceeded by what is being written.
  uint64_t max_bytes = 0;
  // Since a segment was last written to.
  absl::Duration max_age = absl::ZeroDuration();
  // On the file system of the segments. Nothing is deleted because of it while
  // the system does not say how much is free, which is told on stderr.
  uint64_t min_free_bytes = 0;

  bool has_limit() const {
    return max_files != 0 || max_bytes != 0 || max_age > absl::ZeroDuration() ||
           min_free_bytes != 0;
  }
};

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
