#include "ringlog/tools/command/frame_check.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_reader.h"

namespace ringlog {
namespace {

// Returns `time_ns` with the resolution of the format: text lines have
// microseconds.
int64_t WithLineResolution(LineFormat format, int64_t time_ns) {
  if (format == LineFormat::kJson) return time_ns;
  const int64_t below = time_ns % 1000;
  return time_ns - below - (below < 0 ? 1000 : 0);
}

template <typename Expected, typename Found>
void CompareOne(absl::string_view what, const Expected& expected,
                const Found& found, std::vector<std::string>* differences) {
  const std::string in_metadata = absl::StrCat(expected);
  const std::string in_text = absl::StrCat(found);
  if (in_metadata == in_text) return;
  differences->push_back(absl::StrCat(what, ": the metadata has ", in_metadata,
                                      ", the text has ", in_text));
}

// Returns the fields of a gap without its times, which have no nanoseconds in
// text lines.
std::string ToText(const Gap& gap) {
  return absl::StrCat(GapCauseName(gap.cause), " [", gap.first_position, "..",
                      gap.end_position, ") ", absl::StrJoin(gap.records, "+"));
}

}  // namespace

void FrameCheck::Add(const DecodedRecord& decoded) {
  format_ = decoded.lines_format;
  has_split_record_ |= decoded.lines.size() >= kMaxWholeBytes;
  if (decoded.gap != nullptr) {
    ++gap_count_;
    if (gaps_.size() < kMaxFrameGaps) gaps_.push_back(*decoded.gap);
    return;
  }
  if (!decoded.is_record) {
    ++other_lines_;
    return;
  }
  FrameSummary one;
  one.records[static_cast<size_t>(decoded.record.severity)] = 1;
  one.min_time_ns = one.max_time_ns = decoded.record.time_ns;
  one.text_bytes = decoded.lines.size();
  if (decoded.position != kNoPosition) {
    is_in_order_ &=
        !has_positions_ || decoded.position >= summary_.end_position;
    has_positions_ = true;
    one.first_position = decoded.position;
    one.end_position = decoded.position + 1;
  }
  summary_.Add(one);
}

std::vector<std::string> FrameCheck::Compare(
    const FrameMetadata& metadata) const {
  std::vector<std::string> found;
  if (has_split_record_) return found;
  if (other_lines_ != 0) {
    found.push_back(absl::StrCat(other_lines_, " lines are not records"));
  }
  const FrameSummary& expected = metadata.summary;
  CompareOne("records by severity", absl::StrJoin(expected.records, ", "),
             absl::StrJoin(summary_.records, ", "), &found);
  CompareOne("first time", WithLineResolution(format_, expected.min_time_ns),
             summary_.min_time_ns, &found);
  CompareOne("last time", WithLineResolution(format_, expected.max_time_ns),
             summary_.max_time_ns, &found);
  CompareOne("gaps", metadata.gap_count, gap_count_, &found);
  for (size_t i = 0; i < std::min(gaps_.size(), metadata.gaps.size()); ++i) {
    CompareOne(absl::StrCat("gap ", i), ToText(metadata.gaps[i]),
               ToText(gaps_[i]), &found);
  }
  ComparePositions(metadata, &found);
  return found;
}

void FrameCheck::ComparePositions(const FrameMetadata& metadata,
                                  std::vector<std::string>* found) const {
  const FrameSummary& expected = metadata.summary;
  if (expected.end_position < expected.first_position ||
      expected.end_position - expected.first_position <
          summary_.record_count()) {
    found->push_back(absl::StrCat("positions: the metadata has [",
                                  expected.first_position, "..",
                                  expected.end_position, "), the text has ",
                                  summary_.record_count(), " records"));
  }
  if (!has_positions_) return;
  if (summary_.first_position < expected.first_position ||
      summary_.end_position > expected.end_position) {
    found->push_back(absl::StrCat(
        "positions: the metadata has [", expected.first_position, "..",
        expected.end_position, "), the text has [", summary_.first_position,
        "..", summary_.end_position, ")"));
  }
  if (!is_in_order_) found->push_back("positions are not in order");
}

}  // namespace ringlog
