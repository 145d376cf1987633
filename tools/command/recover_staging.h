// A directory for the segments of one ring while `ringlog recover` makes them.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_STAGING_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_STAGING_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_index.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/tools/command/recover_output.h"

namespace ringlog {

// A directory in the output, with a random name, that only the user of this
// process may read or write. The destructor deletes it. If a run is killed, the
// next run deletes it.
//
// Thread-compatible. The RecoverOutput must outlive this object.
class Staging {
 public:
  // Makes the directory. Errors are those of getrandom(2), mkdir(2) and
  // open(2). After an error of open(2), the directory stays until the next run.
  static absl::StatusOr<std::unique_ptr<Staging>> Create(RecoverOutput* output);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  Directory* directory() { return &directory_; }
  const Directory& directory() const { return directory_; }
  // Returns the path of the file `name` in this directory. No other process can
  // direct the path to another file. Requires: /proc is mounted.
  std::string PathOf(const std::string& name) const;

  // Returns `status` with the paths that users know in its message.
  absl::Status WithPaths(const absl::Status& status) const;

  struct Segment {
    std::string name;
    std::string source;  // path of the segment or ring that it was made from
    SegmentIndex content;
    bool is_damaged = false;  // some of its records are lost
  };
  // Gives the segment another name. Errors are those of rename(2).
  absl::Status Rename(const std::string& name, Segment* segment);

  // Moves the segments from this directory into the output. For each segment:
  //
  //   - If the output has the same segment, intact, and the staged one is
  //     damaged or has fewer records, keeps the one in the output, and stores
  //     its content in `segments`.
  //   - Otherwise renames the staged file. It replaces the same segment of an
  //     earlier run.
  //
  // Fails if the segment that remains lacks records of the other one, because
  // one of the two may be forged.
  //
  // Then syncs the names. If the process is killed, a second run gives the same
  // result.
  // Requires: the content of the files is durable.
  //   AlreadyExists: a file that is not this segment, that has other records,
  //                  or that belongs to another user, has one of the names;
  //                  nothing was moved
  //   others:        those of SegmentReader::Open(), open(2), rename(2),
  //                  Directory::CheckIsOwn() and Directory::Sync(). After an
  //                  error of rename or sync, some segments may be in the
  //                  output; a second run gives the same result
  absl::Status MoveToOutput(std::vector<Segment>* segments);

 private:
  enum class Place { kTaken, kFree };

  Staging(RecoverOutput* output, std::string name, Directory directory)
      : output_(output),
        name_(std::move(name)),
        directory_(std::move(directory)) {}
  absl::StatusOr<Place> CheckPlace(mode_t staged_mode, Segment* segment);
  // Returns the mode of the staged file.
  absl::StatusOr<mode_t> CheckStaged(const std::string& name);

  RecoverOutput* const output_;
  const std::string name_;
  Directory directory_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_STAGING_H_
