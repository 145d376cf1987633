// Finds the inputs of `ringlog recover`: leftover rings, each with its
// segments, and segments without a ring.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring_format.h"
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

// Thread-compatible.
class RecoverSources {
 public:
  // Searches `paths`, the directories of the rings in them, and the segment
  // directories in the headers of these rings, one of which may be `output`.
  // Reports unusable files. `report` must outlive this object.
  RecoverSources(const std::vector<std::string>& paths,
                 const std::string& output, Report* report);

  std::vector<FoundRing> rings;  // each id once

  // Removes and returns the segments that belong to `id`, sorted by number.
  std::vector<FoundSegment> TakeSegments(const RingId& id);
  // Reverses TakeSegments().
  void PutBack(std::vector<FoundSegment> segments);
  // Searches again for the segments of a ring that was deleted since: another
  // process has recovered it.
  void AddNewSegments(const FoundRing& ring);
  // Removes and returns the segments in the inputs that belong to one missing
  // ring; empty if none are left. Requires: TakeSegments() was called for every
  // ring.
  std::vector<FoundSegment> TakeSegmentsWithoutRing();

  // Keeps one segment of each number. Reports the others, except nearby files,
  // which only complement the inputs.
  void RemoveCopies(std::vector<FoundSegment>* segments);

 private:
  void FindRings(const std::string& output);
  void IdentifyRebuiltRings();
  bool IsCopy(const FoundRing& ring);
  void ReportUnknown(const FoundSegment& segment);

  Report* const report_;
  Inputs inputs_;
  std::vector<FoundSegment> segments_;  // not taken yet
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_
