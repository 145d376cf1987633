// A segment directory that a test makes unusable for a while, as a full disk or
// a lost mount would.

#ifndef RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_
#define RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/log/check.h"

namespace ringlog {

// Blocks a directory: a regular file takes the place of the directory, so that
// every attempt to create a file in it fails. Thread-compatible.
class BlockedDirectory {
 public:
  explicit BlockedDirectory(std::string path) : path_(std::move(path)) {}

  // Replaces the directory by a file. Requires: the directory is empty.
  void Block() {
    CHECK_EQ(rmdir(path_.c_str()), 0);
    CHECK_EQ(mknod(path_.c_str(), S_IFREG | 0600, 0), 0);
  }
  // Replaces the file by an empty directory. A flusher may create the directory
  // first.
  void Unblock() {
    CHECK_EQ(unlink(path_.c_str()), 0);
    CHECK(mkdir(path_.c_str(), 0700) == 0 || errno == EEXIST);
  }

 private:
  const std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_
