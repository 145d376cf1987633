// What to read, and how far: the inputs as sources, each with its segments in
// order and what its ring adds to them.

#ifndef RINGLOG_TOOLS_DECODE_PLAN_H_
#define RINGLOG_TOOLS_DECODE_PLAN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {

struct RingRecord {
  uint64_t position = 0;
  absl::string_view head;
  absl::string_view body;
};

// What a ring holds that is not, or may not be, in its segments.
struct RingPart {
  std::string path;
  std::vector<RingRecord> records;  // by position; views into `memory`
  std::vector<Gap> gaps;            // drops that the segments tell of are out
  std::shared_ptr<const void> memory;
  // Without a cursor to believe, segments and ring overlap: what the segments'
  // metadata tell of, and what follows it up to their last record, is then
  // passed over in the ring.
  bool overlaps_segments = false;
  // Whose it is.
  std::string program;
  int64_t process_id = 0;
  bool may_be_alive = false;
};

struct SegmentPart {
  std::string path;
  // Behind this the ring has it, and tells it better.
  uint64_t limit_bytes = kWholeFile;
  // The limit is a ring's cursor: a frame that is open there is whole.
  bool is_limited = false;
  // Begin of the frame that is open at the limit, if the cursor's checksum fits
  // the bytes of that frame.
  uint64_t open_frame_begin = kWholeFile;
  uint64_t limit_position = 0;       // where positions end at it; 0: not known
  bool is_named_as_segment = false;  // ours, by its name
  bool from_directory = false;
  // True if `status` says that it is not there any more, and nobody has asked
  // for it by name: retention and recovery delete files.
  bool HasGone(const absl::Status& status) const {
    return from_directory && absl::IsNotFound(status);
  }
};

struct SourcePlan {
  std::vector<SegmentPart> segments;
  std::unique_ptr<RingPart> ring;  // nullptr if none is among the inputs
};

using RingReader =
    std::function<absl::StatusOr<RingImage>(const std::string& path)>;

// Reports what cannot be used. Rings are read here, by `read_ring`, segments
// only opened. Whatever live processes do at any moment of it, the plan has all
// that was in their files when it began.
std::vector<SourcePlan> MakePlan(const std::vector<std::string>& paths,
                                 Report* report,
                                 const RingReader& read_ring = RingImage::Read);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_PLAN_H_
