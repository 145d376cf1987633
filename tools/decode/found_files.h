// The rings and segments among the inputs, while processes create and delete
// such files.

#ifndef RINGLOG_TOOLS_DECODE_FOUND_FILES_H_
#define RINGLOG_TOOLS_DECODE_FOUND_FILES_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"
#include "ringlog/tools/decode/known_rings.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

// The segments of rings, by the paths of the rings.
using SegmentsByRing = std::map<std::string, std::vector<FoundSegment>>;

// Thread-compatible.
class FoundFiles {
 public:
  // Finds the files, and reads the identity of each segment (InspectSegment()).
  // `report`, which must outlive this object, receives unusable paths; no
  // method returns an error.
  FoundFiles(const std::vector<std::string>& paths, Report* report);

  // Adds the files in `directory` with is_nearby set. Does nothing if the
  // directory cannot be read.
  void AddNearby(const std::string& directory);

  // Reads the directories again, and the identities of new segments. Reads
  // those that could not be read or identified again if they have changed
  // since. Call it after rings were read: all bytes that their cursors count
  // are in the segments then. The cost is that of all files, so call it once
  // for many rings.
  void Refresh();

  // Does the same, but of the new files adds only rings of the processes of
  // known segments, and segments of these processes whose number is not above
  // the highest known one. Ignores all other new files, from then on.
  //
  // A reading of a directory goes on while processes create and delete files.
  // It may have a segment and not the one before it, or a segment and not its
  // ring. After Refresh(), and then this, no known segment lacks one before it:
  //   1. Refresh() begins after the reading that missed a deleted ring has
  //      ended. So it finds all segments that have the ring's records.
  //   2. This reading begins after that of Refresh() has ended. So it finds all
  //      segments with lower numbers.
  void RefreshKnown();

  // Adds a ring to `rings`, if it was not added yet.
  //   ResourceExhausted: there are too many with its id, see KnownRings::Add()
  absl::Status AddRing(const InputFile& input, const RingHeader& header,
                       bool is_rebuilt);

  // Moves the segments that belong to the rings at the paths `of` out of
  // `segments`, in one pass. Sorts those of each ring by number, and removes
  // those that another user may have forged (RemoveForeign()). Notes dropped
  // ones, once for each ring, if `notes_copies`.
  SegmentsByRing TakeSegments(const std::set<std::string>& of,
                              bool notes_copies = false);
  // Adds the foreign segments of a ring to `segments`, as those of no ring.
  // Drops those with a number that the ring has not reached: they have nothing
  // that the ring lacks.
  void ReturnForeign(const ResumePoint& point,
                     std::vector<FoundSegment> foreign);
  // Reverses TakeSegments(), but for dropped segments. A lack of memory changes
  // nothing.
  void PutBack(SegmentsByRing* taken);

  // Returns true, and stores a copy of the next ring in `*ring`, if there is a
  // ring that was not returned yet.
  bool NextRing(InputFile* ring);

  // Segments that no call of TakeSegments() or TakeSegmentsOfOneProcess() has
  // moved out.
  std::vector<FoundSegment> segments;
  // The rings with an intact header, and those that the caller adds; at most
  // kMaxRingsOfId with one id.
  KnownRings rings;

 private:
  void NoteCopies(const std::string& ring, const ForeignCopies& copies);
  void InspectNew();
  void InspectAgain();

  Inputs inputs_;
  Report* report_;
  std::set<std::string> noted_;  // rings of which copies were noted
  // Numbers of files in inputs_ that InspectNew() and NextRing() have passed.
  size_t inspected_ = 0;
  size_t returned_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_FOUND_FILES_H_
