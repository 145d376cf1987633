#include "ringlog/compress/segment/skipped_region.h"

#include "absl/strings/str_cat.h"

namespace ringlog {

std::string ToString(const SkippedRegion& region) {
  return absl::StrCat("[", region.begin, "..", region.end, "): ", region.why);
}

std::string DescribeUnverified(const SkippedRegion& region) {
  return absl::StrCat("[", region.unverified_begin, "..", region.unverified_end,
                      "): the records in these bytes are unverified; no "
                      "checksum covers them");
}

void SkippedRegions::AddDamage(uint64_t begin, uint64_t end,
                               absl::string_view why) {
  if (regions_.size() < kMaxSkippedRegions) {
    regions_.push_back({begin, end, std::string(why)});
    return;
  }
  SkippedRegion& last = regions_.back();
  last.end = end;
  last.why = "damaged at many places from here on";
  last.first_position = last.end_position = 0;
}

void SkippedRegions::AddTruncation(uint64_t begin, uint64_t end) {
  regions_.push_back({begin, end, "cut off", true});
}

void SkippedRegions::MarkUnverified(uint64_t begin, uint64_t end) {
  SkippedRegion& last = regions_.back();
  if (!last.has_unverified_records()) last.unverified_begin = begin;
  last.unverified_end = end;
}

void SkippedRegions::SetPositions(uint64_t first, uint64_t end) {
  regions_.back().first_position = first;
  regions_.back().end_position = end;
}

}  // namespace ringlog
