// DeletionOracle
//
// Checks that retention deletes the oldest segments of a directory first: a
// segment must not be deleted while an older one exists.

#ifndef RINGLOG_TESTING_KILL_DELETION_ORACLE_H_
#define RINGLOG_TESTING_KILL_DELETION_ORACLE_H_

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace ringlog {

// Knows only file names. Thread-compatible.
class DeletionOracle {
 public:
  explicit DeletionOracle(std::string directory)
      : directory_(std::move(directory)) {}

  // Remembers the segments that exist now.
  void Update();
  // Number of segments that existed at the last Update().
  size_t segment_count() const { return present_.size(); }
  // Number of segments that an earlier Update() saw and the last one did not.
  size_t deleted_count() const { return seen_.size() - present_.size(); }

  // The test fails if a deleted segment is newer than an existing one (the
  // names have seconds), or if a deleted segment of a ring has an existing one
  // with a lower number.
  void ExpectOldestFirst() const;

 private:
  const std::string directory_;
  std::set<std::string> seen_;
  std::set<std::string> present_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_DELETION_ORACLE_H_
