// What `ringlog recover` is to work on: leftover rings, each with its segments,
// and segments without a ring.

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
  // Where the header says that its segments are; if it has only the end of a
  // long path, that.
  std::string segment_directory;
  // Of a ring that has lost its header and the copy: what its slots, its name
  // and its segments say instead.
  std::optional<RingHeader> rebuilt_header;
};

// Thread-compatible.
class RecoverSources {
 public:
  // Looks at `paths`, beside the rings that they lead to, and where those say
  // that their segments are, which may be `output`. What cannot be used is
  // reported. `report` must outlive it.
  RecoverSources(const std::vector<std::string>& paths,
                 const std::string& output, Report* report);

  std::vector<FoundRing> rings;  // each id once

  // The segments that belong to `id`, in order of number. They are nobody
  // else's from then on.
  std::vector<FoundSegment> TakeSegments(const RingId& id);
  // As if they had not been taken.
  void PutBack(std::vector<FoundSegment> segments);
  // Looks again for the segments of a ring that was in a directory and has gone
  // since: somebody has recovered it.
  void AddNewSegments(const FoundRing& ring);
  // Those of a ring that is not here, as far as they are inputs; empty if no
  // more are left. Requires: all rings have taken theirs.
  std::vector<FoundSegment> TakeSegmentsWithoutRing();

  // Leaves one of each number. What is beside is only there for what is not
  // among the inputs.
  void RemoveCopies(std::vector<FoundSegment>* segments);

 private:
  void FindRings(const std::string& output);
  void IdentifyRebuiltRings();
  bool IsCopy(const FoundRing& ring);
  void TellUnknown(const FoundSegment& segment);

  Report* const report_;
  Inputs inputs_;
  std::vector<FoundSegment> segments_;  // that nobody has taken
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_SOURCES_H_
