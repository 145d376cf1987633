// The output of `ringlog recover`: a directory in which a segment appears when
// it is complete, or not at all.

#ifndef RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_
#define RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_index.h"

namespace ringlog {

// Thread-compatible. Holds a lock on the directory for its lifetime.
class RecoverOutput {
 public:
  // Opens and locks the directory. Makes it if it does not exist and its parent
  // does.
  //   FailedPrecondition: another `ringlog recover` writes to it
  //   others:             those of mkdir(2), open(2), fsync(2) and flock(2)
  static absl::StatusOr<std::unique_ptr<RecoverOutput>> Open(
      const std::string& path);
  ~RecoverOutput();
  RecoverOutput(const RecoverOutput&) = delete;
  RecoverOutput& operator=(const RecoverOutput&) = delete;

  const std::string& path() const { return path_; }
  // Returns true if `directory` is this directory.
  bool Is(const std::string& directory) const;

 private:
  RecoverOutput(std::string path, int fd);

  const std::string path_;
  const int fd_;
};

// A directory in the output for one ring's segments while they are incomplete.
// The destructor deletes it. If a run was killed, the next run deletes it.
// Thread-compatible. The RecoverOutput must outlive this object.
class Staging {
 public:
  // Makes the directory. Errors are those of mkdir(2) and of deleting an
  // earlier one.
  static absl::StatusOr<std::unique_ptr<Staging>> Create(
      const RecoverOutput* output, const RingId& ring_id);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::string& path() const { return path_; }
  // Returns the path of the file `name` in this directory.
  std::string PathOf(const std::string& name) const;

  struct Segment {
    std::string name;
    SegmentIndex content;
    bool is_damaged = false;  // some of its records are lost
  };
  // Renames the segments from path() into the output, and syncs the names.
  // Replaces a segment of an earlier run, unless that segment is intact, and
  // this one is damaged or has fewer records. In that case the earlier segment
  // stays, and its content is stored in `segments`. If the process is killed, a
  // second run gives the same result.
  // Requires: the content of the files is durable.
  //   AlreadyExists: a file that is not this segment has one of the names;
  //                  nothing was changed
  //   others:        those of lstat(2), rename(2), SyncDirectory() and reading
  absl::Status Publish(std::vector<Segment>* segments) const;

 private:
  enum class Place { kTaken, kFree };

  Staging(const RecoverOutput* output, std::string path);
  absl::StatusOr<Place> CheckPlace(Segment* segment) const;

  const RecoverOutput* const output_;
  const std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_
