// DeletionOracle
//
// What of a program's segments may have gone by its limits: the oldest, and no
// newer one while an older one stays.

#ifndef RINGLOG_TESTING_KILL_DELETION_ORACLE_H_
#define RINGLOG_TESTING_KILL_DELETION_ORACLE_H_

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace ringlog {

// Thread-compatible. Goes by the names of the files alone.
class DeletionOracle {
 public:
  explicit DeletionOracle(std::string directory)
      : directory_(std::move(directory)) {}

  // Takes note of the segments that there are now.
  void Look();
  // Of the last look.
  size_t segment_count() const { return present_.size(); }
  // Of those that an earlier look saw, so many have gone.
  size_t deleted_count() const { return seen_.size() - present_.size(); }

  // A test failure if a segment has gone that is newer, to the second that its
  // name says, than one of the last look; or if one of a ring's is missing that
  // has a lower and a higher number beside it.
  void ExpectOldestFirst() const;

 private:
  const std::string directory_;
  std::set<std::string> seen_;
  std::set<std::string> present_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_DELETION_ORACLE_H_
