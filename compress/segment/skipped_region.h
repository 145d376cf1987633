// SkippedRegion and SkippedRegions
//
// The parts of a segment that a reader could not use.

#ifndef RINGLOG_COMPRESS_SEGMENT_SKIPPED_REGION_H_
#define RINGLOG_COMPRESS_SEGMENT_SKIPPED_REGION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace ringlog {

// A range of bytes of the file that could not be used.
struct SkippedRegion {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string why;  // The cause, without the bytes.
  // True if the file ends early, as after the kill of its process, and is not
  // damaged. The region then follows the last complete block, and may be empty.
  bool is_truncated = false;
  // Range of positions of the lost records. Both are 0 if no metadata frame
  // reports them.
  uint64_t first_position = 0;
  uint64_t end_position = 0;
  // Bytes of the file whose records were delivered although no checksum covers
  // them: the blocks before `begin` of a frame without an end, or the beginning
  // of a frame that was delivered in pieces. Both are 0 if there are no
  // such records. The frame may be open, or damaged so that it looks open; then
  // the records may be wrong.
  uint64_t unverified_begin = 0;
  uint64_t unverified_end = 0;

  bool has_unverified_records() const {
    return unverified_begin < unverified_end;
  }
};

// Returns "[begin..end): why".
std::string ToString(const SkippedRegion& region);

// Returns the message about the region's unverified records, with their bytes.
// Requires: region.has_unverified_records()
std::string DescribeUnverified(const SkippedRegion& region);

// Maximum number of damaged regions that are reported. In a file with more of
// them, the last region extends to the last damage. The intact frames in it are
// delivered.
inline constexpr size_t kMaxSkippedRegions = 1000;

// The regions of one file, in order. Thread-compatible.
class SkippedRegions {
 public:
  const std::vector<SkippedRegion>& regions() const { return regions_; }

  // Adds a damaged region. If there are kMaxSkippedRegions already, extends the
  // last one instead. Requires: `begin` is at or after the end of the last one.
  void AddDamage(uint64_t begin, uint64_t end, absl::string_view why);

  // Adds the region that is missing because the file ends early.
  void AddTruncation(uint64_t begin, uint64_t end);

  // Marks the records in [begin, end) as unverified, in the last region.
  // Requires: there is a region.
  void MarkUnverified(uint64_t begin, uint64_t end);

  // Sets the positions of the records that were lost in the last region.
  // Requires: there is a region.
  void SetPositions(uint64_t first, uint64_t end);

 private:
  std::vector<SkippedRegion> regions_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SKIPPED_REGION_H_
