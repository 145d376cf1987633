// Where recovered segments go: a directory in which each of them appears when
// it is whole, or not at all.

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

// Thread-compatible. Holds a lock on the directory as long as it lives.
class RecoverOutput {
 public:
  // Makes the directory if its parent exists.
  //   FailedPrecondition: another recovery works in it
  //   others:             those of mkdir(2), open(2) and fsync(2)
  static absl::StatusOr<std::unique_ptr<RecoverOutput>> Open(
      const std::string& path);
  ~RecoverOutput();
  RecoverOutput(const RecoverOutput&) = delete;
  RecoverOutput& operator=(const RecoverOutput&) = delete;

  const std::string& path() const { return path_; }
  // Whether `directory` is this one.
  bool Is(const std::string& directory) const;

 private:
  RecoverOutput(std::string path, int fd);

  const std::string path_;
  const int fd_;
};

// A directory within the output for what is not ready: one ring's segments. It
// goes with this object, and one that a kill has left goes before the next.
// `output` must outlive it.
class Staging {
 public:
  static absl::StatusOr<std::unique_ptr<Staging>> Create(
      const RecoverOutput* output, const RingId& ring_id);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::string& path() const { return path_; }
  std::string PathOf(const std::string& name) const;

  struct Segment {
    std::string name;
    SegmentIndex content;
    bool is_damaged = false;  // some of what it had is not there any more
  };
  // Gives the segments, which are in path() and durable, their places in the
  // output; durable when it returns. The same segment that is there from an
  // earlier run is replaced; but if it is whole where this one has damage, it
  // stays, and takes the place in `segments` too. May be done again after a
  // kill.
  //   AlreadyExists: something else has one of the names; nothing was changed
  //   others:        those of rename(2), fsync(2) and reading
  absl::Status Publish(std::vector<Segment>* segments) const;

 private:
  enum class Place { kTaken, kFree };

  Staging(const RecoverOutput* output, std::string path);
  absl::StatusOr<Place> LookAtPlace(Segment* segment) const;

  const RecoverOutput* const output_;
  const std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_RECOVER_OUTPUT_H_
