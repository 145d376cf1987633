#include "ringlog/ring/os/process_identity.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

// A child process that reports its identity and runs until it is killed.
class Child {
 public:
  explicit Child(const char* name = nullptr) {
    EXPECT_EQ(pipe(to_parent_), 0);
    EXPECT_EQ(pipe(to_child_), 0);
    pid_ = fork();
    if (pid_ == 0) Run(name);
    EXPECT_GT(pid_, 0);
    EXPECT_EQ(read(to_parent_[0], &identity_, sizeof identity_),
              static_cast<ssize_t>(sizeof identity_));
  }
  ~Child() {
    if (pid_ != 0) End();
    for (int* ends : {to_parent_, to_child_}) {
      close(ends[0]);
      close(ends[1]);
    }
  }
  const ProcessIdentity& identity() const { return identity_; }
  pid_t pid() const { return pid_; }
  // Ends the child and waits for it; its id may then be reused.
  void End() {
    Kill();
    int status;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
  }
  // Ends the child without waiting for it.
  void Kill() {
    kill(pid_, SIGKILL);
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT),
              0);
  }

 private:
  [[noreturn]] void Run(const char* name) {
    if (name != nullptr) prctl(PR_SET_NAME, name);
    const ProcessIdentity me = CurrentProcess();
    if (write(to_parent_[1], &me, sizeof me) != sizeof me) _exit(1);
    char c;
    while (read(to_child_[0], &c, 1) < 0) {
    }
    _exit(0);
  }

  pid_t pid_ = 0;
  int to_parent_[2];
  int to_child_[2];
  ProcessIdentity identity_;
};

bool FirstThreadIsZombie() {
  return absl::StrContains(ReadFile(absl::StrCat("/proc/", getpid(), "/stat")),
                           ") Z ");
}

TEST(ProcessIdentityTest, CurrentProcessIsAlive) {
  const ProcessIdentity me = CurrentProcess();
  EXPECT_EQ(me.process_id, getpid());
  EXPECT_NE(me.start_ticks, 0u);
  EXPECT_NE(me.boot_id, (std::array<uint8_t, 16>{}));
  EXPECT_TRUE(MayBeAlive(me));
}

TEST(ProcessIdentityTest, IdentityIsStable) {
  const ProcessIdentity a = CurrentProcess();
  const ProcessIdentity b = CurrentProcess();
  EXPECT_EQ(a.start_ticks, b.start_ticks);
  EXPECT_EQ(a.boot_id, b.boot_id);
}

TEST(ProcessIdentityTest, ForkedChildHasItsOwnIdentity) {
  Child child;
  EXPECT_NE(child.identity().process_id, CurrentProcess().process_id);
  EXPECT_EQ(child.identity().boot_id, CurrentProcess().boot_id);
  EXPECT_GE(child.identity().start_ticks, CurrentProcess().start_ticks);
}

TEST(ProcessIdentityTest, ChildIsAliveUntilItEnds) {
  Child child;
  EXPECT_TRUE(MayBeAlive(child.identity()));
  child.End();
  EXPECT_FALSE(MayBeAlive(child.identity()));
}

TEST(ProcessIdentityTest, ZombieIsDead) {
  Child child;
  child.Kill();
  EXPECT_FALSE(MayBeAlive(child.identity())) << "a zombie runs no code";
}

TEST(ProcessIdentityTest, AliveWithoutFirstThread) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    static int ready_fd = ready[1];
    std::thread([] {
      // Until the kernel reports the first thread as ended.
      while (!FirstThreadIsZombie()) sched_yield();
      if (write(ready_fd, "x", 1) != 1) _exit(1);
      pause();
    }).detach();
    syscall(SYS_exit, 0);
  }
  char c;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  ProcessIdentity process;
  process.process_id = child;
  EXPECT_TRUE(MayBeAlive(process));
  kill(child, SIGKILL);
  int status;
  waitpid(child, &status, 0);
  EXPECT_FALSE(MayBeAlive(process));
}

TEST(ProcessIdentityTest, ReusedIdIsAnotherProcess) {
  Child child;
  ProcessIdentity before = child.identity();
  before.start_ticks -= 1;
  EXPECT_FALSE(MayBeAlive(before));
}

// The mount option hidepid of /proc hides the start times of other users'
// processes.
TEST(ProcessIdentityTest, HiddenProcessOfAnotherUserIsAnotherProcess) {
  constexpr int kNotAllowed = 2;
  constexpr uid_t kOtherUser = 12345;
  for (const char* option : {"hidepid=1", "hidepid=2"}) {
    Child child;
    ProcessIdentity before = child.identity();
    before.start_ticks -= 1;
    const pid_t other = fork();
    if (other == 0) {
      if (unshare(CLONE_NEWNS) != 0 ||
          mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("proc", "/proc", "proc", 0, option) != 0 ||
          setresuid(kOtherUser, kOtherUser, kOtherUser) != 0) {
        _exit(kNotAllowed);
      }
      const bool is_hidden =
          access(absl::StrCat("/proc/", child.pid(), "/stat").c_str(), R_OK) !=
          0;
      _exit(is_hidden && !MayBeAlive(before) && MayBeAlive(CurrentProcess())
                ? 0
                : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(other, &status, 0), other);
    if (WEXITSTATUS(status) == kNotAllowed) {
      GTEST_SKIP() << "may not mount /proc for another user";
    }
    EXPECT_EQ(status, 0) << option;
  }
}

TEST(ProcessIdentityTest, ProcessOfAnotherBootIsDead) {
  ProcessIdentity other = CurrentProcess();
  other.boot_id[15] ^= 1;
  EXPECT_FALSE(MayBeAlive(other));
}

TEST(ProcessIdentityTest, UnknownFieldsProveNoDeath) {
  ProcessIdentity process = CurrentProcess();
  process.boot_id = {};
  EXPECT_TRUE(MayBeAlive(process));
  process.start_ticks = 0;
  EXPECT_TRUE(MayBeAlive(process));
}

TEST(ProcessIdentityTest, ImpossibleIdsAreDead) {
  for (const int64_t id :
       {int64_t{0}, int64_t{-1}, -int64_t{getpid()},
        int64_t{std::numeric_limits<int32_t>::max()},
        int64_t{1} << 32 | getpid(), std::numeric_limits<int64_t>::min()}) {
    ProcessIdentity process = CurrentProcess();
    process.process_id = id;
    EXPECT_FALSE(MayBeAlive(process)) << id;
  }
}

TEST(ProcessIdentityTest, ParsesNameWithParentheses) {
  Child plain;
  Child odd(") R 1 2 (");
  EXPECT_TRUE(MayBeAlive(odd.identity()));
  EXPECT_GE(odd.identity().start_ticks, plain.identity().start_ticks);
  EXPECT_LT(odd.identity().start_ticks - plain.identity().start_ticks, 1000u);
}

TEST(ProcessIdentityTest, FindsMappedFileByName) {
  const std::string path = UnusedPath("mapped");
  const std::string name(Basename(path));
  WriteFile(path, "content");
  const int fd = open(path.c_str(), O_RDONLY);
  EXPECT_FALSE(MayHaveMapped(getpid(), name)) << "the file is only open";
  void* const p = mmap(nullptr, 7, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(p, MAP_FAILED);
  close(fd);
  EXPECT_TRUE(MayHaveMapped(getpid(), name));
  EXPECT_FALSE(MayHaveMapped(getpid(), name.substr(1)));
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_TRUE(MayHaveMapped(getpid(), name));
  ASSERT_EQ(munmap(p, 7), 0);
  EXPECT_FALSE(MayHaveMapped(getpid(), name));
}

// Each mapping is a line, and 100 KB of lines precede this one.
TEST(ProcessIdentityTest, FindsNameInLongMap) {
  const std::string path = UnusedPath("mapped");
  WriteFile(path, std::string(4096, 'x'));
  const int fd = open(path.c_str(), O_RDONLY);
  std::vector<void*> others;
  for (int i = 0; i < 1000; ++i) {
    // Two kinds alternate, because the kernel merges adjacent mappings of one
    // kind.
    others.push_back(mmap(nullptr, 4096, i % 2 == 0 ? PROT_READ : PROT_NONE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  for (void* const other : others) {
    ASSERT_EQ(mmap(other, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0),
              other);
    EXPECT_TRUE(MayHaveMapped(getpid(), Basename(path)));
    ASSERT_EQ(munmap(other, 4096), 0);
  }
  close(fd);
}

TEST(ProcessIdentityTest, UnreadableMapMayHaveFile) {
  Child ended;
  EXPECT_FALSE(MayHaveMapped(ended.identity().process_id, "no such file"));
  ended.Kill();
  EXPECT_TRUE(MayHaveMapped(ended.identity().process_id, "no such file"))
      << "the map of a zombie cannot be read";
}

// In a container with the host's /proc, CurrentProcess() must return the start
// time of the process itself.
TEST(ProcessIdentityTest, ReturnsStartTimeInPidNamespace) {
  constexpr int kNotAllowed = 2;
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWPID) != 0) _exit(kNotAllowed);
    Child first;
    ProcessIdentity seen = first.identity();
    if (seen.process_id != 1) _exit(3);
    seen.process_id = first.pid();
    _exit(MayBeAlive(seen) && seen.start_ticks != 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == kNotAllowed) {
    GTEST_SKIP() << "may not create a pid namespace";
  }
  EXPECT_EQ(status, 0);
}

TEST(ProcessIdentityTest, ProgramNameHasNoDirectory) {
  EXPECT_EQ(ProgramName(), "process_identity_test");
}

TEST(ProcessIdentityTest, ReturnsHostNameOfMachine) {
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
  EXPECT_EQ(HostName(), name);
}

}  // namespace
}  // namespace ringlog
