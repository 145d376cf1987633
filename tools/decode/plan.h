// Plans what to read: one source for each ring, with its segments in order, the
// bytes of them that count, and the records that the ring adds.

#ifndef RINGLOG_TOOLS_DECODE_PLAN_H_
#define RINGLOG_TOOLS_DECODE_PLAN_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {

// The part of a ring that is not, or may not be, in its segments.
struct RingPart {
  std::string path;
  // Has the records and gaps: those of `from` and first_position. One Source at
  // a time may read it.
  std::unique_ptr<RingImage> image;
  RecoverFrom from = RecoverFrom::kCursor;
  uint64_t first_position = 0;
  std::vector<Gap> drops;  // drops that the segments do not report
  // True if segments and ring overlap (ResumePoint::overlaps). A reader then
  // skips the ring's records up to the last record in the segments: those that
  // the segments' metadata covers, and the lines after it.
  bool overlaps_segments = false;
  // The owner.
  std::string program;
  int64_t process_id = 0;
  bool may_be_alive = false;
};

struct SegmentPart {
  std::string path;
  uid_t owner = 0;  // owner when the file was found
  // Bytes from here on do not count.
  uint64_t limit_bytes = kWholeFile;
  // True if limit_bytes is not the end of the file: a frame that is open there
  // is complete.
  bool is_limited = false;
  // Begin of the frame that is open at the limit, if the cursor's checksum
  // matches the bytes of that frame.
  uint64_t open_frame_begin = kWholeFile;
  uint64_t limit_position = 0;  // position at the limit; 0: not known
  bool is_named_as_segment = false;
  bool from_directory = false;
  // Returns true if `status` means that a file which was found in a directory
  // has been deleted since, by retention or recovery.
  bool HasGone(const absl::Status& status) const {
    return from_directory && absl::IsNotFound(status);
  }
};

struct SourcePlan {
  std::vector<SegmentPart> segments;
  std::unique_ptr<RingPart> ring;  // nullptr if the inputs have none
};

using RingReader =
    std::function<absl::StatusOr<RingImage>(const std::string& path)>;

// Makes one plan for each ring, and one for the segments of each missing ring.
// Reads the rings with RingImage::ReadInto(), or with `read_ring` in tests, and
// opens the segments. Reports unusable files. Live processes may write
// meanwhile: the plan has every record that was in their files when MakePlan()
// began.
std::vector<SourcePlan> MakePlan(const std::vector<std::string>& paths,
                                 Report* report,
                                 const RingReader& read_ring = nullptr);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_PLAN_H_
