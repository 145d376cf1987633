// The names of the segments in the output of `ringlog recover`.

#ifndef RINGLOG_TOOLS_COMMAND_OUTPUT_NAMES_H_
#define RINGLOG_TOOLS_COMMAND_OUTPUT_NAMES_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ringlog/tools/command/recover_output.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

// Decides which source may use a name. A user who may read a segment can forge
// a ring from which recovery makes a segment with the same name.
//
// Thread-compatible.
class OutputNames {
 public:
  // Notes the names of the segments in the inputs. Ignores those in the output,
  // because they stay there. Call it before the first segment is moved.
  void AddInputs(const std::vector<FoundSegment>& segments,
                 const RecoverOutput& output);

  // Checks that a segment made from `source`, a ring or a segment, may have the
  // name.
  //   AlreadyExists: a segment with the name was moved; or a segment of another
  //                  user in the inputs has the name, unless the user of
  //                  `source` may decide about that segment, and not the
  //                  reverse (IsTrusted())
  absl::Status Check(const std::string& name, const InputFile& source) const;

  // Notes that a segment made from the source at `path` is in the output.
  void AddMoved(const std::string& name, const std::string& path);

 private:
  // Paths of segments by owner, by name.
  std::map<std::string, std::map<uid_t, std::string>> inputs_;
  std::map<std::string, std::string> moved_;  // paths of sources by name
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_OUTPUT_NAMES_H_
