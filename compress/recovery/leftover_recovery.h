// Leftover rings: what processes that died left behind, and how it gets into
// segments.

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

// Brings the leftover ring at `ring_path` into segments beside
// `segment_directory`, then deletes it: the segment that the persist cursor
// names is cut there and closed, the records after the cursor follow it, gaps
// are named, all of it is made durable. May be killed at any moment and done
// again, by this process or another: the result is the same.
//
//   FailedPrecondition: the ring's process is alive, or another one is
//                       recovering it; nothing was touched
//   NotFound:           no such ring: another one has recovered it
//   others:             those of ParseRingHeader, and of reading and writing;
//                       the ring is left for the next try
absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& ring_path, const std::string& segment_directory,
    const SegmentWriterOptions& options);

// Does that for every leftover ring in `ring_directory`; one that fails does
// not keep the others from it.
struct LeftoverSweep {
  std::vector<LeftoverReport> recovered;
  std::vector<absl::Status> errors;  // live rings are not errors
};
LeftoverSweep RecoverLeftovers(const std::string& ring_directory,
                               const std::string& segment_directory,
                               const SegmentWriterOptions& options);

// Paths of what processes that died, or called exec(2), seem to have left in
// `ring_directory` for `segment_directory`: rings, and what was to become one
// (PATH.tmp, see MappedFile::Create()), which its maker did not live to give a
// name. What cannot be read is not among them. Cheap, whatever lives.
std::vector<std::string> FindLeftovers(const std::string& ring_directory,
                                       const std::string& segment_directory);

// RecoverLeftover() for one of them; what did not become a ring holds nothing,
// and is deleted. The same errors.
absl::Status RecoverFound(const std::string& path,
                          const std::string& segment_directory,
                          const SegmentWriterOptions& options);

// Tells stderr of what could not be recovered, if there are errors, in a line.
void ComplainOfLeftovers(absl::Span<const absl::Status> errors);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_RECOVERY_H_
