// A directory for segments that cannot be written for a while, as on a full
// disk: what a flusher has to wait for is in the way by name.

#ifndef RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_
#define RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/log/check.h"

namespace ringlog {

// Thread-compatible. For tests.
class BlockedDirectory {
 public:
  explicit BlockedDirectory(std::string path) : path_(std::move(path)) {}

  // Requires: the directory is empty.
  void Block() {
    CHECK_EQ(rmdir(path_.c_str()), 0);
    CHECK_EQ(mknod(path_.c_str(), S_IFREG | 0600, 0), 0);
  }
  void Unblock() {
    CHECK_EQ(unlink(path_.c_str()), 0);
    CHECK_EQ(mkdir(path_.c_str(), 0700), 0);
  }

 private:
  const std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_
