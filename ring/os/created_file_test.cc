// A file that open(2) has created and ForkClosedFile cannot use.

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/testing/harness/test_files.h"

namespace {

// The test has only one thread.
bool fstat_fails = false;

}  // namespace

// Replaces the system call in the whole program.
extern "C" int fstat(int fd, struct stat* st) noexcept {
  if (fstat_fails) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH));
}

namespace ringlog {
namespace {

// Opens the file while fstat(2) fails.
void ExpectOpenFails(const std::string& path, int flags) {
  fstat_fails = true;
  const ForkClosedFile file = ForkClosedFile::Open(path, flags, 0600);
  const int error = errno;
  fstat_fails = false;
  EXPECT_EQ(file.fd(), -1);
  EXPECT_EQ(error, EIO);
}

TEST(CreatedFileTest, FailedCreationLeavesNoFile) {
  const std::string path = MakeTestDirectory() + "/file";
  ExpectOpenFails(path, O_RDWR | O_CREAT | O_EXCL);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(CreatedFileTest, ExistingFileStays) {
  const std::string path = MakeTestDirectory() + "/file";
  WriteFile(path, "content");
  ExpectOpenFails(path, O_RDWR | O_CREAT);
  EXPECT_EQ(ReadFile(path), "content");
}

}  // namespace
}  // namespace ringlog
