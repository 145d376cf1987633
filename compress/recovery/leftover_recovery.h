// Finds leftover rings, which are rings whose process is dead, and moves their
// records into segments.

#ifndef RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_
#define RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/segment_writer.h"

namespace ringlog {

// Returns the paths of the leftovers in `directory` that belong to
// `segment_directory`:
//
//   - rings whose process has died or has called exec(2);
//   - rings that cannot be read, if the two directories are the same:
//     RecoverLeftover() returns the error;
//   - unfinished ring files (PATH.tmp, see MappedFile::Create()) whose process
//     has died.
//
// In a directory of its own, a ring must belong to the calling user. Returns
// nothing if `directory` does not exist. Reads at most the header of each file.
// Deletes the files that killed recoveries left (Directory::DeleteIfStale()).
//
// Errors are those of opendir(3) and readdir(3).
absl::StatusOr<std::vector<std::string>> FindLeftovers(
    const std::string& directory, const std::string& segment_directory);

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

// Reports errors of RecoverLeftover() and FindLeftovers() on stderr, in one
// line. Does nothing without errors.
void WarnOfLeftovers(absl::Span<const absl::Status> errors);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_
