// The decision of `ringlog recover` about one leftover ring and its segments.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_RING_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_RING_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

// A ring without its bytes, and the decision about its segments.
struct DecidedRing {
  RingHeader header = {};
  uint64_t file_bytes = 0;  // less than header.file_bytes if it is truncated
  RingFacts facts;
  ResumePoint point;
};

// Largest mode of a copied segment whose ring is unknown: no other user gets
// the right to change it.
inline constexpr mode_t kUnknownSegmentMode =
    ACCESSPERMS & ~(S_IWGRP | S_IWOTH);

// Returns the mode that the ring's program gave to its segments, before the
// umask; kUnknownSegmentMode if the header has none.
mode_t SegmentModeOf(const RingHeader& header);

// Calls CopySegment() for a file that was found. Errors are those of
// CopySegment() and CheckOwner().
// Requires: /proc is mounted.
absl::Status CopyFoundSegment(const InputFile& input, uint64_t limit_bytes,
                              mode_t mode, const std::string& to);

// Returns true if the ring may have segments that are not in `segments`, or
// that are, but could not be identified. `segments` are sorted by number.
bool MayLackSegments(const RingFacts& ring,
                     const std::vector<FoundSegment>& segments);

// Calls DecideResumePoint(). Removes the segments whose records the ring has
// from `segments`, which are sorted by number.
DecidedRing DecideRing(const LeftoverRing& ring,
                       std::vector<FoundSegment>* segments);

// Reports a damaged cursor, a truncated ring, and the segments, or ends of
// segments, that the cursor counts but that are not in `segments`. Names the
// directory that the ring has for them.
void ReportMissing(const std::string& ring_path, const DecidedRing& ring,
                   const std::vector<FoundSegment>& segments, Report* report);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_RING_H_
