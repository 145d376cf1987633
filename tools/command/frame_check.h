// Comparison of a frame's metadata with the records of the frame.

#ifndef RINGLOG_TOOLS_COMMAND_FRAME_CHECK_H_
#define RINGLOG_TOOLS_COMMAND_FRAME_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

// Collects the records of a frame and compares them with its metadata. Does not
// compare the length and the checksum of the text, because SegmentReader has
// done so.
//
// Thread-compatible.
class FrameCheck {
 public:
  // Adds the next record or gap of the frame.
  void Add(const DecodedRecord& decoded);

  // Returns a description of each difference, most of them in the form "FIELD:
  // the metadata has VALUE, the text has VALUE". Returns nothing if the frame
  // has a record that SegmentReader returned in several calls, because such
  // records cannot be counted.
  std::vector<std::string> Compare(const FrameMetadata& metadata) const;

  // Begins a new frame.
  void Clear() { *this = FrameCheck(); }

 private:
  void ComparePositions(const FrameMetadata& metadata,
                        std::vector<std::string>* found) const;

  FrameSummary summary_;
  // The first kMaxFrameGaps gaps.
  std::vector<Gap> gaps_;
  uint64_t gap_count_ = 0;
  // Number of lines that are not records.
  uint64_t other_lines_ = 0;
  // True if summary_ has positions; text lines have none.
  bool has_positions_ = false;
  // True if the positions increase.
  bool is_in_order_ = true;
  // True if a record is too long to be returned at once.
  bool has_split_record_ = false;
  LineFormat format_ = LineFormat::kText;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_FRAME_CHECK_H_
