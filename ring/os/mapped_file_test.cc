#include "ringlog/ring/os/mapped_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

constexpr size_t kSize = size_t{3} * 4096;

// Writes "mark" into the first bytes.
void Mark(MappedFile::Bytes bytes) { std::memcpy(bytes.data(), "mark", 4); }

absl::StatusOr<MappedFile> CreateMarked(const std::string& path) {
  return MappedFile::Create(path, kSize, Mark);
}

// Returns the result of `f` in a forked child.
template <typename F>
bool TrueInChild(F f) {
  const pid_t child = fork();
  if (child == 0) _exit(f() ? 0 : 1);
  int status = 1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(MappedFileTest, CreatedFileIsZerosAndInitialized) {
  const std::string path = UnusedPath("mapped");
  const auto file = CreateMarked(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes().size(), kSize);
  EXPECT_EQ(ReadFile(path), "mark" + std::string(kSize - 4, '\0'));
}

TEST(MappedFileTest, StoresReachFile) {
  const std::string path = UnusedPath("mapped");
  const auto file = CreateMarked(path);
  ASSERT_TRUE(file.ok());
  file->bytes()[kSize - 1] = 'x';
  EXPECT_EQ(ReadFile(path).back(), 'x');
}

TEST(MappedFileTest, FileHasBlocksAndMode0600WhateverTheUmask) {
  for (const mode_t mask : {0u, 0777u}) {
    const std::string path = UnusedPath("mapped");
    const mode_t before = umask(mask);
    const auto file = CreateMarked(path);
    umask(before);
    ASSERT_TRUE(file.ok());
    struct stat st;
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777u, 0600u);
    EXPECT_GE(st.st_blocks * 512, st.st_size);
  }
}

TEST(MappedFileTest, NameAppearsAfterInitialization) {
  const std::string path = UnusedPath("mapped");
  bool seen = true;
  bool temporary_seen = false;
  const auto file = MappedFile::Create(path, kSize, [&](MappedFile::Bytes) {
    seen = Exists(path);
    temporary_seen = Exists(path + ".tmp");
  });
  EXPECT_FALSE(seen);
  EXPECT_TRUE(temporary_seen);
  EXPECT_TRUE(Exists(path));
  EXPECT_FALSE(Exists(path + ".tmp"));
}

TEST(MappedFileTest, ExistingFileIsNotReplaced) {
  const std::string path = UnusedPath("mapped");
  WriteFile(path, "mine");
  EXPECT_EQ(CreateMarked(path).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path), "mine");
  EXPECT_FALSE(Exists(path + ".tmp"));
}

// Another process makes the file as soon as it sees the temporary one.
TEST(MappedFileTest, TakenNameGivesAnotherName) {
  const std::string path = UnusedPath("mapped");
  const std::string other = UnusedPath("other");
  const auto take_name = [&](MappedFile::Bytes bytes) {
    WriteFile(path, "foreign");
    Mark(bytes);
  };
  const auto name_again = [&](MappedFile::Bytes bytes) {
    std::memcpy(bytes.data(), "again", 5);
    return std::string(Basename(other));
  };
  const auto file = MappedFile::Create(path, kSize, take_name, name_again);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Basename(file->path()), Basename(other));
  EXPECT_EQ(ReadFile(file->path()).substr(0, 5), "again");
  EXPECT_TRUE(file->IsAtPath());
  EXPECT_EQ(ReadFile(path), "foreign");
  EXPECT_FALSE(Exists(path + ".tmp"));
  // Both names are taken.
  EXPECT_EQ(
      MappedFile::Create(file->path(), kSize, Mark, name_again).status().code(),
      absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(Exists(file->path() + ".tmp"));
}

TEST(MappedFileTest, ForeignTemporaryFileIsKept) {
  const std::string path = UnusedPath("mapped");
  WriteFile(path + ".tmp", "foreign");
  EXPECT_EQ(CreateMarked(path).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path + ".tmp"), "foreign");
}

TEST(MappedFileTest, SymbolicLinksAreNotFollowed) {
  const std::string target = UnusedPath("target");
  const std::string path = UnusedPath("link");
  ASSERT_EQ(symlink(target.c_str(), (path + ".tmp").c_str()), 0);
  EXPECT_FALSE(CreateMarked(path).ok());
  EXPECT_FALSE(Exists(target));
  WriteFile(target, "target");
  ASSERT_EQ(symlink(target.c_str(), path.c_str()), 0);
  EXPECT_FALSE(MappedFile::Open(path).ok());
}

TEST(MappedFileTest, ErrorNamesOperationAndPath) {
  const std::string path = UnusedPath("none");
  const absl::Status status = MappedFile::Open(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("open " + path));
}

TEST(MappedFileTest, OpenMapsCompleteFile) {
  const std::string path = UnusedPath("mapped");
  WriteFile(path, std::string(5000, 'a') + "b");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes().size(), 5001u);
  EXPECT_EQ(file->bytes()[5000], 'b');
  file->bytes()[0] = 'c';
  EXPECT_EQ(ReadFile(path)[0], 'c');
}

TEST(MappedFileTest, EmptyFileIsRejected) {
  const std::string path = UnusedPath("mapped");
  WriteFile(path, "");
  EXPECT_EQ(MappedFile::Open(path).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// ---- The lock ----

TEST(MappedFileTest, OpenFileIsLocked) {
  const std::string path = UnusedPath("mapped");
  auto file = CreateMarked(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(MappedFile::Open(path).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(TrueInChild([&] {
    return MappedFile::Open(path).status().code() ==
           absl::StatusCode::kFailedPrecondition;
  }));
  *file = MappedFile();
  EXPECT_TRUE(MappedFile::Open(path).ok());
}

TEST(MappedFileTest, LockEndsWithProcess) {
  const std::string path = UnusedPath("mapped");
  EXPECT_TRUE(TrueInChild([&] {
    const auto file = CreateMarked(path);
    // The child ends without closing the file.
    return file.ok() && (_exit(0), true);
  }));
  EXPECT_TRUE(MappedFile::Open(path).ok());
}

TEST(MappedFileTest, DescriptorIsCloseOnExec) {
  const std::string path = UnusedPath("mapped");
  const auto file = CreateMarked(path);
  ASSERT_TRUE(file.ok());
  struct stat ours;
  ASSERT_EQ(stat(path.c_str(), &ours), 0);
  int found = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_ino != ours.st_ino ||
        st.st_dev != ours.st_dev) {
      continue;
    }
    ++found;
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(found, 1);
}

// ---- The path ----

class MovedFileTest : public ::testing::Test {
 protected:
  MappedFile Create() const {
    auto file = CreateMarked(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(file->IsAtPath());
    return *std::move(file);
  }

  const std::string base_ = MakeTestDirectory();
  const std::string directory_ = MakeTestDirectory();
  const std::string path_ = directory_ + "/mapped";
};

TEST_F(MovedFileTest, DeletedFileIsNotAtPath) {
  const MappedFile file = Create();
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_TRUE(file.is_deleted());
  EXPECT_FALSE(file.IsAtPath());
  EXPECT_TRUE(file.Delete().ok());
}

TEST_F(MovedFileTest, AnotherFileAtPathIsNoticedAndKept) {
  const MappedFile file = Create();
  ASSERT_EQ(unlink(path_.c_str()), 0);
  WriteFile(path_, "foreign");
  EXPECT_FALSE(file.IsAtPath());
  EXPECT_TRUE(file.Delete().ok());
  EXPECT_EQ(ReadFile(path_), "foreign");
}

TEST_F(MovedFileTest, FileOfMovedDirectoryIsNotAtPathAndIsDeletedThere) {
  const MappedFile file = Create();
  const std::string moved = base_ + "/moved";
  ASSERT_EQ(rename(directory_.c_str(), moved.c_str()), 0);
  ASSERT_EQ(mkdir(directory_.c_str(), 0700), 0);
  EXPECT_FALSE(file.IsAtPath());
  EXPECT_FALSE(file.is_deleted());
  EXPECT_TRUE(file.Delete().ok());
  EXPECT_FALSE(Exists(moved + "/mapped"));
}

// The program has closed both descriptors, and uses their numbers for its own
// files.
TEST_F(MovedFileTest, DeletesFileByPathWithoutDescriptors) {
  const MappedFile file = Create();
  for (int fd = 3; fd < 64; ++fd) close(fd);
  const int programs = open(base_.c_str(), O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(file.IsAtPath());
  EXPECT_TRUE(file.Delete().ok());
  EXPECT_FALSE(Exists(path_));
  EXPECT_FALSE(file.IsAtPath());
  close(programs);
}

// The mapping keeps the open file description, and the lock with it. Otherwise
// a process in another pid namespace would take the ring for a leftover.
TEST_F(MovedFileTest, LockOutlivesClosedDescriptors) {
  MappedFile file = Create();
  for (int fd = 3; fd < 64; ++fd) close(fd);
  EXPECT_TRUE(absl::IsFailedPrecondition(MappedFile::Open(path_).status()));
  EXPECT_EQ(RunChild([&] {
              _exit(absl::IsFailedPrecondition(MappedFile::Open(path_).status())
                        ? 0
                        : 1);
            }),
            0);
  file = MappedFile();
  EXPECT_TRUE(MappedFile::Open(path_).ok());
}

TEST_F(MovedFileTest, DiscardedPagesAreZerosAndNotInFile) {
  MappedFile file = Create();
  file.bytes()[kSize - 1] = 'x';
  file.Discard(1);
  EXPECT_EQ(file.bytes()[0], 'm');
  EXPECT_EQ(file.bytes()[kSize - 1], 0);
  file.bytes()[kSize - 1] = 'y';
  EXPECT_EQ(ReadFile(path_).back(), 'x');
}

// ---- Moving, memory, sync ----

TEST(MappedFileTest, MovedFileKeepsMappingAndLock) {
  const std::string path = UnusedPath("mapped");
  auto created = CreateMarked(path);
  ASSERT_TRUE(created.ok());
  const unsigned char* const address = created->bytes().data();
  MappedFile moved = *std::move(created);
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_FALSE(MappedFile::Open(path).ok());
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_EQ(assigned.bytes().data(), address);
  EXPECT_EQ(assigned.bytes()[0], 'm');
}

TEST(MappedFileTest, AnonymousMemoryIsInitialized) {
  const auto file = MappedFile::CreateAnonymous(kSize, Mark);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(std::string(file->bytes().begin(), file->bytes().end()),
            "mark" + std::string(kSize - 4, '\0'));
  EXPECT_TRUE(file->Sync(true).ok());
}

TEST(MappedFileTest, TooMuchMemoryIsAnError) {
  EXPECT_EQ(MappedFile::CreateAnonymous(size_t{1} << 60, Mark).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(MappedFileTest, SyncStartsOrWaits) {
  const auto file = CreateMarked(UnusedPath("mapped"));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->Sync(false).ok());
  EXPECT_TRUE(file->Sync(true).ok());
  EXPECT_TRUE(MappedFile().Sync(true).ok());
}

}  // namespace
}  // namespace ringlog
