// A segment directory that a test makes unusable for a while, as a full disk or
// a lost mount would.

#ifndef RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_
#define RINGLOG_TESTING_HARNESS_BLOCKED_DIRECTORY_H_

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "absl/log/check.h"

namespace ringlog {

// Blocks a directory: a regular file takes the place of the directory, so that
// every attempt to create a file in it fails. Thread-compatible.
class BlockedDirectory {
 public:
  explicit BlockedDirectory(std::string path) : path_(std::move(path)) {}

  // Replaces the directory by a file, in one step, because a thread may create
  // a file in the directory, or the directory, at any moment. Requires: no file
  // in the directory counts.
  void Block() {
    const std::string other = path_ + ".blocked";
    std::filesystem::remove_all(other);
    CHECK_EQ(mknod(other.c_str(), S_IFREG | 0600, 0), 0);
    CHECK_EQ(renameat2(AT_FDCWD, other.c_str(), AT_FDCWD, path_.c_str(),
                       RENAME_EXCHANGE),
             0);
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
