// Tests which files of a directory count as those of the process's user, and
// tests copies of files with several names.

#include "ringlog/ring/os/directory.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/os/mapped_file.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

// Permissions that fstat(2) adds to the mode of each regular file.
mode_t g_forced_mode = 0;

}  // namespace
}  // namespace ringlog

// Replaces fstat(2) in the whole program.
extern "C" int fstat(int fd, struct stat* st) noexcept {
  const int result = fstatat(fd, "", st, AT_EMPTY_PATH);
  if (result == 0 && S_ISREG(st->st_mode)) {
    st->st_mode |= ringlog::g_forced_mode;
  }
  return result;
}

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kNotPermitted = 77;

class DirectoryTest : public ::testing::Test {
 protected:
  ~DirectoryTest() override { g_forced_mode = 0; }

  Directory Open() const { return *Directory::Open(path_); }
  std::string PathOf(const std::string& name) const {
    return absl::StrCat(path_, "/", name);
  }
  static struct stat StatOf(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
    return st;
  }

  // Runs `body` in a child without a user id in its user namespace.
  template <typename Body>
  static void InNamespaceWithoutUsers(Body body) {
    const int status = RunChild([&body] {
      if (unshare(CLONE_NEWUSER) != 0) _exit(kNotPermitted);
      body();
      _exit(HasFailure());
    });
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNotPermitted) {
      GTEST_SKIP() << "a user namespace is not permitted";
    }
    EXPECT_EQ(status, 0);
  }

  const std::string path_ = MakeTestDirectory();
};

TEST_F(DirectoryTest, NewNamespaceDoesNotShowOwners) {
  Directory directory = Open();
  WriteFile(PathOf("file"), "x");
  InNamespaceWithoutUsers([&directory] {
    // RunChild() forks, so the directory is closed.
    directory = *Directory::Open(directory.path());
    EXPECT_TRUE(absl::IsUnavailable(directory.OwnOwner().status()));
    const ForkClosedFile file = directory.OpenFile("file", O_RDONLY);
    EXPECT_TRUE(absl::IsUnavailable(directory.CheckIsOwn(file.fd(), "file")));
  });
}

// The probe fails like on a full disk. After its error, retention must not take
// geteuid() for the owner.
TEST_F(DirectoryTest, FailedProbeDoesNotHideTheNamespace) {
  InNamespaceWithoutUsers([this] {
    Directory directory = Open();
    const rlimit none = {0, 0};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_TRUE(absl::IsUnavailable(directory.OwnOwner().status()));
  });
}

TEST_F(DirectoryTest, FailedProbeDoesNotDecideOwner) {
  const OrdinaryUser user;
  EXPECT_EQ(RunChild([&user] {
              user.Become();
              WriteFile(user.directory() + "/file", "x");
              ASSERT_EQ(chmod(user.directory().c_str(), 0500), 0);
              Directory directory = *Directory::Open(user.directory());
              const ForkClosedFile file = directory.OpenFile("file", O_RDONLY);
              EXPECT_TRUE(
                  absl::IsUnavailable(directory.CheckIsOwn(file.fd(), "file")));
              _exit(HasFailure());
            }),
            0);
}

TEST_F(DirectoryTest, FileThatOthersMayWriteToIsOwnIfPermitted) {
  Directory directory = Open();
  WriteFile(PathOf("file"), "x");
  ASSERT_EQ(chmod(PathOf("file").c_str(), 0660), 0);
  const ForkClosedFile file = directory.OpenFile("file", O_RDONLY);
  EXPECT_TRUE(directory.CheckIsOwn(file.fd(), "file", 0660).ok());
  for (const mode_t permitted : {0, 0640, 0602}) {
    EXPECT_TRUE(absl::IsPermissionDenied(
        directory.CheckIsOwn(file.fd(), "file", permitted)));
  }
}

// FAT and CIFS give each file the mode of the mount.
TEST_F(DirectoryTest, FileSystemWithOneModeHasNoOwnFile) {
  WriteFile(PathOf("file"), "x");
  g_forced_mode = 0777;
  Directory directory = Open();
  const ForkClosedFile file = directory.OpenFile("file", O_RDONLY);
  const absl::Status status = directory.CheckIsOwn(file.fd(), "file");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(status.message(), HasSubstr("umask=077"));
}

TEST_F(DirectoryTest, FileSystemWithOneModeRejectsRing) {
  g_forced_mode = 0777;
  const absl::Status status =
      MappedFile::Create(PathOf("ring"), 4096, [](MappedFile::Bytes) {
      }).status();
  EXPECT_TRUE(absl::IsUnimplemented(status));
  EXPECT_THAT(status.message(), HasSubstr("umask=077"));
  EXPECT_THAT(FilesIn(path_, ""), IsEmpty());
  g_forced_mode = 0755;
  EXPECT_TRUE(
      MappedFile::Create(PathOf("ring"), 4096, [](MappedFile::Bytes) {}).ok());
}

class CopyTest : public DirectoryTest {
 protected:
  // Gives the name of the file "file" to a copy, and returns the copy.
  ForkClosedFile Replace() {
    Directory directory = Open();
    const ForkClosedFile file = directory.OpenFile("file", O_RDWR);
    absl::StatusOr<ForkClosedFile> copy =
        directory.ReplaceByCopy("file", file.fd());
    EXPECT_TRUE(copy.ok()) << copy.status();
    return copy.ok() ? *std::move(copy) : ForkClosedFile();
  }
};

TEST_F(CopyTest, HasBytesAndModeOfTheFile) {
  const std::string bytes = std::string(100000, 'a') + std::string(100000, 0);
  WriteFile(PathOf("file"), bytes);
  ASSERT_EQ(chmod(PathOf("file").c_str(), 0640), 0);
  const ino_t inode = StatOf(PathOf("file")).st_ino;
  Replace();
  EXPECT_EQ(ReadFile(PathOf("file")), bytes);
  EXPECT_NE(StatOf(PathOf("file")).st_ino, inode);
  EXPECT_EQ(StatOf(PathOf("file")).st_mode & ALLPERMS, 0640u);
}

// Reading the hole would take hours.
TEST_F(CopyTest, DoesNotReadHoles) {
  constexpr off_t kBytes = off_t{4} << 40;
  WriteFile(PathOf("file"), "begin");
  const int fd = open(PathOf("file").c_str(), O_RDWR | O_CLOEXEC);
  const int set_size = ftruncate(fd, kBytes);
  ASSERT_EQ(pwrite(fd, "end", 3, kBytes / 2), 3);
  close(fd);
  if (set_size != 0) GTEST_SKIP() << "no files of 4 TiB on this disk";
  const ForkClosedFile copy = Replace();
  EXPECT_EQ(StatOf(PathOf("file")).st_size, kBytes);
  EXPECT_LT(StatOf(PathOf("file")).st_blocks, 1000);
  char end[3] = {};
  ASSERT_EQ(pread(copy.fd(), end, 3, kBytes / 2), 3);
  EXPECT_EQ(std::string(end, 3), "end");
}

TEST_F(CopyTest, OfAnotherGroupGivesThatGroupNoRights) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "needs root";
  WriteFile(PathOf("file"), "x");
  ASSERT_EQ(chown(PathOf("file").c_str(), geteuid(), 12345), 0);
  ASSERT_EQ(chmod(PathOf("file").c_str(), 0664), 0);
  Replace();
  EXPECT_EQ(StatOf(PathOf("file")).st_mode & ALLPERMS, 0604u);
}

TEST_F(CopyTest, OfAKilledProcessIsDeleted) {
  const std::string copy = ".ringlog.copy.1.00000000000000ab";
  const std::string probe = ".ringlog.owner.1.00000000000000ab";
  const std::string other = ".ringlog.other";
  Directory directory = Open();
  const auto delete_all = [&] {
    for (const std::string& name : {copy, probe, other}) {
      directory.DeleteIfStale(name);
    }
  };
  for (const std::string& name : {copy, probe, other}) {
    WriteFile(PathOf(name), "x");
  }
  {
    const ForkClosedFile in_use = directory.OpenFile(copy, O_RDWR);
    ASSERT_TRUE(LockFile(in_use.fd(), copy).ok());
    delete_all();
    EXPECT_EQ(ReadFile(PathOf(copy)), "x");
  }
  delete_all();
  EXPECT_EQ(FilesIn(path_, ""), std::vector<std::string>{PathOf(other)});
}

TEST_F(CopyTest, OfAnotherUserIsNotDeleted) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "needs root";
  const std::string name = ".ringlog.copy.1.00000000000000ab";
  WriteFile(PathOf(name), "x");
  ASSERT_EQ(chown(PathOf(name).c_str(), 12345, 12345), 0);
  Open().DeleteIfStale(name);
  EXPECT_EQ(ReadFile(PathOf(name)), "x");
}

}  // namespace
}  // namespace ringlog
