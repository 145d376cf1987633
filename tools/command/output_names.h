// The names of the segments in the output of `ringlog recover`.

#ifndef RINGLOG_TOOLS_COMMAND_OUTPUT_NAMES_H_
#define RINGLOG_TOOLS_COMMAND_OUTPUT_NAMES_H_

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/tools/command/recover_output.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

// Decides which source may use a name. A user who may write to the directory of
// a ring can make a file with the name of the segment that recovery makes from
// the ring. A user who may read a segment can also forge a ring from which
// recovery makes a segment with the same name, ring id and number.
//
// Thread-compatible.
class OutputNames {
 public:
  // Notes the names of the segments in the inputs. Ignores those in the output,
  // because they stay there. Call it before the first segment is moved.
  void AddInputs(const std::vector<FoundSegment>& segments,
                 const RecoverOutput& output);

  // Returns the name of a segment with `identity` that was made from `source`,
  // a ring or a segment. This is the first name that no other segment has, of
  // `name` and seven names with salts that depend on the identity alone; but if
  // the output has the segment already, its name there. A name is taken if
  //
  //   - a segment that was moved, or another segment in `output`, has it, or
  //   - a segment of another user in the inputs has it, unless the user of
  //     `source` may decide about that segment, and not the reverse
  //     (IsTrusted())
  //
  // Only a reader of the ring id can compute the salts.
  //   AlreadyExists: the segment that has `name` has the same ring id and
  //                  number, or all names are taken
  absl::StatusOr<std::string> NameFor(const std::string& name,
                                      const SegmentIdentity& identity,
                                      const InputFile& source,
                                      RecoverOutput* output) const;

  // Notes that a segment made from the source at `path` is in the output.
  void AddMoved(const std::string& name, const SegmentIdentity& identity,
                const std::string& path);

 private:
  struct Segment {
    std::string path;  // of a segment in the inputs, or of a source
    SegmentIdentity identity;
  };

  std::optional<Segment> OtherWithName(const std::string& name,
                                       const InputFile& source) const;

  // Segments by owner, by name.
  std::map<std::string, std::map<uid_t, Segment>> inputs_;
  std::map<std::string, Segment> moved_;  // by name
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_OUTPUT_NAMES_H_
