// FrameCheck
//
// Whether a frame's metadata say what its records are. The length of the text
// and its checksum SegmentReader has compared.
//
// Thread-compatible.

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

class FrameCheck {
 public:
  // The next record, or gap, of the frame.
  void Add(const DecodedRecord& decoded);

  // What disagrees, as "what: the metadata say ..., the text has ..."; empty if
  // nothing does.
  std::vector<std::string> Compare(const FrameMetadata& metadata) const;

  // The next frame begins.
  void Clear() { *this = FrameCheck(); }

 private:
  void ComparePositions(const FrameMetadata& metadata,
                        std::vector<std::string>* found) const;

  FrameSummary summary_;
  std::vector<Gap> gaps_;  // at most kMaxFrameGaps
  uint64_t gap_count_ = 0;
  uint64_t strange_lines_ = 0;  // that are no record
  bool has_positions_ = false;  // then summary_ has them
  bool is_in_order_ = true;
  bool is_in_pieces_ = false;  // of a record: then nothing is compared
  LineFormat format_ = LineFormat::kText;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_FRAME_CHECK_H_
