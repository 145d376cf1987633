// Finds leftover rings, which are rings whose process is dead, and moves their
// records into segments.

#ifndef RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_
#define RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/segment_writer.h"

namespace ringlog {

// The leftovers in a directory.
struct Leftovers {
  std::vector<std::string> paths;  // sorted
  // Number of files that are named like rings, and are not regular files of the
  // own user, unless a living process has the process id in the name. They are
  // not among `paths`: other users may make any number of them, which takes no
  // memory.
  uint64_t foreign_count = 0;
  absl::Status first_foreign;  // PermissionDenied, with the path; OK if none
};

// Returns the leftovers in `directory` that belong to `segment_directory`:
//
//   - rings whose process has died or has called exec(2);
//   - rings that cannot be read, if the two directories are the same:
//     RecoverLeftover() returns the error;
//   - unfinished ring files (PATH.tmp, see MappedFile::Create()) whose process
//     has died.
//
// If the two directories differ, a ring must belong to the calling user, and
// foreign files do not count. Returns nothing if `directory` does not exist.
// Reads at most the header of each own file. Deletes the files that killed
// recoveries left (Directory::DeleteIfStale()).
//
// Errors are those of opendir(3) and readdir(3). If the two directories are the
// same and a file is named like a ring: those of Directory::OwnOwner(), too.
absl::StatusOr<Leftovers> FindLeftovers(const std::string& directory,
                                        const std::string& segment_directory);

// Moves the records of the leftover ring at `path` into segments in
// `segment_directory`:
//
//   1. truncates the segment that the persist cursor names at the cursor,
//   2. adds the records after the cursor, and a gap for each range of missing
//      records,
//   3. closes the segment and makes it durable,
//   4. deletes the ring.
//
// The process may be killed at any moment: a repetition, by any process, has
// the same result. Deletes an unfinished ring file, which has no records.
//
//   InvalidArgument:    an unfinished ring file has records; it stays
//   FailedPrecondition: the ring's process is alive, or another process is
//                       recovering the ring; nothing was changed
//   NotFound:           the file does not exist: another process has recovered
//                       it; or `segment_directory` does not exist
//   ResourceExhausted:  no memory
//   others:             those of ParseRingHeader(), and of reading and writing;
//                       the ring stays
absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& path, const std::string& segment_directory,
    const SegmentWriterOptions& options);

// Errors of RecoverLeftover() and FindLeftovers(). Keeps the first one and the
// number of all, because there may be millions. Thread-compatible.
class LeftoverErrors {
 public:
  // Adds `count` errors, of which `first` is the first.
  void Add(const absl::Status& first, uint64_t count = 1);
  // Reports the errors on stderr, in one line. Returns false if the limit of
  // WarnRateLimited() suppressed it. Does nothing without errors.
  bool Warn() const;

 private:
  absl::Status first_;
  uint64_t count_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_
