#include "ringlog/ring/os/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

class FileLockTest : public ::testing::Test {
 protected:
  ForkClosedFile Open(int flags) const {
    ForkClosedFile file = ForkClosedFile::Open(path_, flags | O_CREAT, 0600);
    EXPECT_GE(file.fd(), 0) << errno;
    return file;
  }
  bool ShowsLock(const ForkClosedFile& file) const {
    const absl::StatusOr<bool> is_locked = IsLocked(file.fd(), path_);
    EXPECT_TRUE(is_locked.ok()) << is_locked.status();
    return is_locked.ok() && *is_locked;
  }

  const std::string path_ = MakeTestDirectory() + "/file";
};

TEST_F(FileLockTest, OneDescriptorHoldsTheLock) {
  const ForkClosedFile reader = Open(O_RDONLY);
  const ForkClosedFile other = Open(O_RDWR);
  {
    const ForkClosedFile writer = Open(O_RDWR);
    EXPECT_FALSE(ShowsLock(reader));
    ASSERT_EQ(LockFile(writer.fd(), path_), absl::OkStatus());
    EXPECT_TRUE(ShowsLock(reader));
    EXPECT_FALSE(ShowsLock(writer))
        << "a descriptor does not show its own lock";
    EXPECT_TRUE(absl::IsFailedPrecondition(LockFile(other.fd(), path_)));
  }
  EXPECT_FALSE(ShowsLock(reader)) << "the writer is closed";
  ASSERT_EQ(LockFile(other.fd(), path_), absl::OkStatus());
  UnlockFile(other.fd());
  EXPECT_FALSE(ShowsLock(reader)) << "the other file is unlocked";
}

TEST_F(FileLockTest, LocksOfReadersAreNotShown) {
  const ForkClosedFile file = Open(O_RDWR);
  const ForkClosedFile reader = Open(O_RDONLY);
  ASSERT_EQ(flock(reader.fd(), LOCK_EX | LOCK_NB), 0);
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  ASSERT_EQ(fcntl(reader.fd(), F_OFD_SETLK, &lock), 0);
  EXPECT_FALSE(ShowsLock(file));
}

TEST_F(FileLockTest, ReadOnlyDescriptorCannotLock) {
  const ForkClosedFile reader = Open(O_RDONLY);
  const absl::Status status = LockFile(reader.fd(), path_);
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(absl::IsFailedPrecondition(status)) << status;
}

}  // namespace
}  // namespace ringlog
