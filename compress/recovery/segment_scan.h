// Reads which parts of a ring's segments are proven: intact frames, each
// followed by an intact metadata frame of the segment. Needed if the ring's
// persist cursor is lost, or may be older than the segments.

#ifndef RINGLOG_COMPRESS_RECOVERY_SEGMENT_SCAN_H_
#define RINGLOG_COMPRESS_RECOVERY_SEGMENT_SCAN_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

struct ScannedSegment {
  std::string name;  // of the file
  // From the file's name; the time has a resolution of seconds.
  int64_t open_time_ns = 0;
  uint32_t name_salt = 0;
  LineFormat format = LineFormat::kText;
  SegmentFacts facts;
};

// Returns true if `name` is that of a segment, and has the process and the
// first four bytes of the ring id of the name `ring`. Proves nothing about the
// file.
bool IsNamedForRing(const ParsedFileName& name, const ParsedFileName& ring);

// Returns the names of the files that are named as segments of the ring with
// `header`, from `first_number` on, without those of other users. Adds the
// numbers of these to `*foreign_numbers`, unless it is null; nothing else takes
// memory for them. Errors are those of Directory::List().
absl::StatusOr<std::vector<std::string>> ListSegments(
    const RingHeader& header, uint64_t first_number, Directory* directory,
    std::vector<uint64_t>* foreign_numbers);

// Returns the facts about the open file `file`, which has segment number
// `number`. Counts drops in frames that end above position `from`. In a file
// that is not a zstd file nothing is proven. The file of another ring is
// kForeign, and is not read further. Errors are those of read(2).
absl::StatusOr<SegmentFacts> ScanSegment(const RingHeader& header,
                                         SegmentFile file, uint64_t number,
                                         uint64_t from);

// The segments of one ring, sorted by number.
struct SegmentScan {
  std::vector<ScannedSegment> segments;
  // Numbers of the files that are foreign: of another user, refused by
  // OpenOwnSegment(), or segments of another ring. Sorted. There may be any
  // number of them, so nothing else about them is kept.
  std::vector<uint64_t> foreign_numbers;
};

// Scans the files in `directory` that are named as segments of the ring with
// `header`, from `first_number` on. Does not read those that OpenOwnSegment()
// refuses with `permitted_mode`.
// Errors are those of listing the directory, OpenOwnSegment() and
// ScanSegment(): an unreadable segment may have any record, so no decision is
// possible.
absl::StatusOr<SegmentScan> ScanSegments(const RingHeader& header,
                                         Directory* directory,
                                         mode_t permitted_mode,
                                         uint64_t first_number, uint64_t from);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_SEGMENT_SCAN_H_
