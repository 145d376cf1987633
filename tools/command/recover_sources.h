// Finds the inputs of `ringlog recover`: leftover rings, each with its
// segments, and segments without a ring.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/found_files.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

struct FoundRing {
  InputFile input;
  RingId id = {};
  // The segment directory in the header. Of a long path the header has only the
  // end.
  std::string segment_directory;
  // If the header and its copy are damaged: a header rebuilt from the ring's
  // slots, its name and its segments.
  std::optional<RingHeader> rebuilt_header;
};

// Reads the ring with ReadLeftover(), whose errors it returns, and those of
// CheckOwner().
absl::StatusOr<LeftoverRing> ReadFoundRing(const FoundRing& found);

// Returns the directory in which the next start of the program would recover
// the ring. `segments` are those of the ring.
std::string HomeOf(const FoundRing& found,
                   const std::vector<FoundSegment>& segments);

// Thread-compatible.
class RecoverSources {
 public:
  // Searches `paths`, the directories of the rings in them, and the segment
  // directories in the headers of these rings. Of the latter, searches only
  // `output` and directories that no other user could have named or filled: the
  // ring and the directory belong to the user of this process, and no other
  // user may write to them. Reports unusable files. `report` must outlive this
  // object.
  RecoverSources(const std::vector<std::string>& paths,
                 const std::string& output, Report* report);

  // Each one once: first those of root and of the user of this process, so that
  // no other ring can take the names of their segments.
  std::vector<FoundRing> rings;
  // The segments that were found; after TakeSegments(), those without a ring.
  const std::vector<FoundSegment>& segments() const { return files_.segments; }

  // Removes and returns the segments that belong to `ring`, sorted by number.
  std::vector<FoundSegment> TakeSegments(const FoundRing& ring);
  // Reverses TakeSegments().
  void PutBack(const FoundRing& ring, std::vector<FoundSegment> segments);
  // Adds foreign segments of a ring to those without a ring, as
  // FoundFiles::ReturnForeign() does.
  void ReturnForeign(const ResumePoint& point,
                     std::vector<FoundSegment> foreign) {
    files_.ReturnForeign(point, std::move(foreign));
  }
  // Searches for segments again: a process may have begun some, or may have
  // recovered a ring, since the last search. The cost is that of all files. A
  // lack of memory loses no segment.
  void Refresh();
  // Removes and returns the segments in the inputs that belong to one missing
  // ring; empty if none are left. Requires: TakeSegments() was called for every
  // ring that was not recovered by another process.
  std::vector<FoundSegment> TakeSegmentsWithoutRing();

  // Keeps one segment of each number. Reports the others, except nearby files,
  // which only complement the inputs.
  void RemoveCopies(std::vector<FoundSegment>* segments);

 private:
  void FindRing(const InputFile& input, const std::string& output);
  void IdentifyRebuiltRings();
  bool IsKnown(const FoundRing& ring, const RingHeader& header);
  bool IsCopy(const FoundRing& ring);
  void FinishSearch();
  void ReportUnknown(const FoundSegment& segment);

  Report* const report_;
  FoundFiles files_;
  std::set<std::string> ring_paths_;  // of `rings`
  // The segments of `rings` that were not taken, once they were searched for.
  std::optional<SegmentsByRing> by_ring_;
  // A ring was recovered during the search: its segments may be new.
  bool has_lost_ring_ = false;
  // The segments of missing rings, the last group first; set by FinishSearch().
  std::optional<std::vector<std::vector<FoundSegment>>> without_ring_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_
