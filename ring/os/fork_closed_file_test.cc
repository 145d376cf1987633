#include "ringlog/ring/os/fork_closed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

// Runs `body` in a forked child and returns its exit status.
int InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

ForkClosedFile MustOpen(const std::string& path) {
  ForkClosedFile fd = ForkClosedFile::Open(path, O_RDWR | O_CREAT, 0600);
  EXPECT_GE(fd.fd(), 0) << errno;
  return fd;
}

bool Lock(const ForkClosedFile& fd) { return LockFile(fd.fd(), "file").ok(); }

bool IsOpen(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0;
}

TEST(ForkGenerationTest, ChangesOnlyInForkedChildren) {
  const uint32_t parents = ForkGeneration::Now();
  EXPECT_EQ(InChild([parents] {
              const uint32_t mine = ForkGeneration::Now();
              if (mine == parents) return 1;
              return InChild([parents, mine] {
                const uint32_t now = ForkGeneration::Now();
                return now == parents || now == mine ? 2 : 0;
              });
            }),
            0);
  EXPECT_EQ(ForkGeneration::Now(), parents);
}

TEST(ForkClosedFileTest, MissingFileSetsErrno) {
  const ForkClosedFile fd = ForkClosedFile::Open(UnusedPath("none"), O_RDWR);
  EXPECT_EQ(fd.fd(), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST(ForkClosedFileTest, IsCloseOnExecAndClosedByDestructor) {
  int number;
  {
    const ForkClosedFile fd = MustOpen(UnusedPath("file"));
    number = fd.fd();
    EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(ForkClosedFileTest, ChildHasNoCopy) {
  ForkClosedFile fd = MustOpen(UnusedPath("file"));
  const int number = fd.fd();
  const std::string other = UnusedPath("other");
  EXPECT_EQ(InChild([&] {
              if (fd.fd() != -1 || IsOpen(number)) return 1;
              // Another file now has this descriptor number.
              const int again = open(other.c_str(), O_CREAT | O_RDWR, 0600);
              if (again != number) return 2;
              fd = ForkClosedFile();
              return IsOpen(again) ? 0 : 3;
            }),
            0);
  EXPECT_EQ(fd.fd(), number);
  EXPECT_TRUE(IsOpen(number));
}

// The parent's file closes without unlocking, as after a kill.
TEST(ForkClosedFileTest, ChildDoesNotHoldLock) {
  const std::string path = UnusedPath("file");
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  pid_t child;
  {
    const ForkClosedFile fd = MustOpen(path);
    ASSERT_TRUE(Lock(fd));
    child = fork();
    if (child == 0) {
      char c;
      _exit(read(go[0], &c, 1) == 1 ? 0 : 1);
    }
    EXPECT_FALSE(Lock(MustOpen(path)));
  }
  EXPECT_TRUE(Lock(MustOpen(path)));
  EXPECT_EQ(write(go[1], "x", 1), 1);
  waitpid(child, nullptr, 0);
}

// A mapping keeps a file open and locked.
TEST(ForkClosedFileTest, ChildHasZerosInsteadOfMapping) {
  const std::string path = UnusedPath("file");
  WriteFile(path, std::string(4096, 'p'));
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  pid_t child;
  {
    ForkClosedFile file = MustOpen(path);
    ASSERT_TRUE(Lock(file));
    auto* const memory = static_cast<volatile char*>(file.Map(4096));
    child = fork();
    if (child == 0) {
      char c;
      if (read(go[0], &c, 1) != 1 || memory[0] != 0) _exit(1);
      memory[0] = 'c';
      file = ForkClosedFile();
      _exit(0);
    }
    memory[1] = 'q';
  }
  EXPECT_TRUE(Lock(MustOpen(path)));
  EXPECT_EQ(write(go[1], "x", 1), 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ReadFile(path), "pq" + std::string(4094, 'p'));
}

// Shared with children of a bare clone(2), but not copied by fork().
TEST(ForkClosedFileTest, AnonymousMemoryIsNotShared) {
  ForkClosedFile file = ForkClosedFile::Anonymous();
  EXPECT_EQ(file.fd(), -1);
  auto* const memory = static_cast<volatile char*>(file.Map(4096));
  memory[0] = 'p';
  EXPECT_EQ(InChild([memory] {
              if (memory[0] != 0) return 1;
              memory[0] = 'c';
              return 0;
            }),
            0);
  EXPECT_EQ(memory[0], 'p');
}

TEST(ForkClosedFileTest, ClosingOneKeepsOthers) {
  std::vector<ForkClosedFile> fds;
  for (int i = 0; i < 3; ++i) fds.push_back(MustOpen(UnusedPath("file")));
  fds.erase(fds.begin() + 1);
  EXPECT_EQ(InChild([&] { return fds[0].fd() == -1 && fds[1].fd() == -1; }), 1);
  fds.erase(fds.begin());
  EXPECT_EQ(InChild([&] { return fds[0].fd() == -1; }), 1);
  EXPECT_TRUE(IsOpen(fds[0].fd()));
}

// ---- A program that closes descriptors which it has not opened ----

class ForeignDescriptorTest : public ::testing::Test {
 protected:
  // Opens a file of the program, which gets the number of `file`.
  void TakeNumberOf(const ForkClosedFile& file) {
    ASSERT_EQ(close(file.fd()), 0);
    programs_ = open(path_.c_str(), O_CREAT | O_RDWR, 0600);
    ASSERT_EQ(programs_, file.fd());
  }

  const std::string path_ = UnusedPath("programs");
  int programs_ = -1;
};

TEST_F(ForeignDescriptorTest, ClosedDescriptorIsNoticed) {
  const ForkClosedFile file = MustOpen(UnusedPath("file"));
  EXPECT_EQ(file.OwnFd(), file.fd());
  ASSERT_EQ(close(file.fd()), 0);
  EXPECT_EQ(file.OwnFd(), -1);
}

TEST_F(ForeignDescriptorTest, DestructorKeepsFileOfProgramOpenAndLocked) {
  {
    const ForkClosedFile file = MustOpen(UnusedPath("file"));
    ASSERT_TRUE(Lock(file));
    TakeNumberOf(file);
    ASSERT_TRUE(LockFile(programs_, path_).ok());
    EXPECT_EQ(file.OwnFd(), -1);
  }
  EXPECT_TRUE(IsOpen(programs_));
  EXPECT_FALSE(Lock(MustOpen(path_)));
  close(programs_);
}

// The program closes the descriptor of a segment, for example, and a recovery
// in another thread opens the same segment.
TEST_F(ForeignDescriptorTest, NumberBelongsToTheLastObjectThatGotIt) {
  const std::string path = UnusedPath("file");
  ForkClosedFile before = MustOpen(path);
  ASSERT_EQ(close(before.fd()), 0);
  const ForkClosedFile after = MustOpen(path);
  ASSERT_EQ(after.fd(), before.fd());
  ASSERT_EQ(after.identity(), before.identity());
  EXPECT_EQ(before.OwnFd(), -1);
  EXPECT_EQ(after.OwnFd(), after.fd());
  ASSERT_TRUE(Lock(after));
  before = ForkClosedFile();
  EXPECT_EQ(after.OwnFd(), after.fd());
  EXPECT_FALSE(Lock(MustOpen(path)));
}

TEST_F(ForeignDescriptorTest, ForkedChildKeepsFileOfProgram) {
  const ForkClosedFile file = MustOpen(UnusedPath("file"));
  TakeNumberOf(file);
  EXPECT_EQ(InChild([&] { return IsOpen(programs_) && file.fd() == -1; }), 1);
  close(programs_);
}

// Each thread locks its file again and again. A child that kept one of the
// locks would make this fail.
TEST(ForkClosedFileTest, ForkRacingOpenLeaksNoLock) {
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&stop, path = UnusedPath("file")] {
      while (!stop) {
        ForkClosedFile file = MustOpen(path);
        EXPECT_TRUE(Lock(file));
        EXPECT_NE(file.Map(4096), MAP_FAILED);
      }
    });
  }
  std::vector<pid_t> children;
  for (int i = 0; i < 200; ++i) {
    children.push_back(fork());
    if (children.back() == 0) {
      close(go[1]);
      char c;
      _exit(read(go[0], &c, 1) == 0 ? 0 : 1);
    }
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  close(go[1]);
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

// A file system gives the number of a deleted file's inode to the next file.
TEST(ForkClosedFileTest, NewFileWithTheInodeOfADeletedOneIsAnotherFile) {
  const std::string path = UnusedPath("file");
  for (int tries = 0; tries < 100; ++tries) {
    const ForkClosedFile file = MustOpen(path);
    struct stat st;
    ASSERT_EQ(fstat(file.fd(), &st), 0);
    const ino_t inode = st.st_ino;
    ASSERT_EQ(unlink(path.c_str()), 0);
    ASSERT_EQ(close(file.fd()), 0);
    const int number = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_EQ(number, file.fd());
    ASSERT_EQ(fstat(number, &st), 0);
    const bool is_reused = st.st_ino == inode;
    EXPECT_EQ(file.OwnFd(), -1);
    ASSERT_EQ(close(number), 0);
    ASSERT_EQ(unlink(path.c_str()), 0);
    if (is_reused) return;
  }
  GTEST_SKIP() << "this file system does not use an inode again at once";
}

}  // namespace
}  // namespace ringlog
