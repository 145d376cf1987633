// FuzzPlace
//
// A new directory for the files of a fuzz entry: in memory if possible, because
// recovery syncs its files. The process that makes it deletes it at its exit.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_PLACE_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_PLACE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// Requires: there is only one object with this `name` in a process.
class FuzzPlace {
 public:
  // Dies if the directory cannot be made.
  explicit FuzzPlace(absl::string_view name);

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_PLACE_H_
