// A log directory on a file system without locks, where no process could see
// that a ring is in use. This file replaces fcntl(2), so that it fails for
// files in directories named "no_locks".
//
// Invariants checked:
//   - The ring is in a private directory of the user in /dev/shm, or in memory
//     if other users have taken the names. stderr reports the reason once.
//   - The next start finds the ring in /dev/shm.
//   - Retention deletes closed segments.
//
// Oracle: the texts that the test logs, and libzstd.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fork_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class NoLocksTest : public ForkFixture {
 protected:
  NoLocksTest() { options_.directory = logs_; }
  ~NoLocksTest() override {
    for (int number = 0; number < 10; ++number) {
      std::filesystem::remove_all(SharedMemoryName(number));
    }
  }

  std::string SharedMemoryName(int number) const {
    return absl::StrCat("/dev/shm/ringlog-", user_.id(),
                        number == 0 ? "" : absl::StrCat(".", number));
  }
  // Runs a process of `user_` that logs and dies. Returns its stderr.
  std::string LogAndDie() {
    std::string err;
    EXPECT_TRUE(WIFSIGNALED(RunChild(
        [this] {
          user_.Become();
          MustInstall();
          LOG(INFO) << "in the ring";
          // A child does not repeat the report.
          if (AwaitChild(StartChild([] { LOG(INFO) << "child"; })) != 0) {
            _exit(101);
          }
          raise(SIGKILL);
        },
        &err)));
    return err;
  }
  void Start() {
    EXPECT_EQ(RunChild([this] {
                user_.Become();
                MustInstall();
              }),
              0);
  }
  std::vector<std::string> Texts() const {
    std::vector<std::string> texts;
    for (const std::string& line : AllLines(logs_)) {
      texts.push_back(TextOfLine(line));
    }
    return texts;
  }

  const OrdinaryUser user_;
  const std::string logs_ = user_.directory() + "/no_locks";
};

TEST_F(NoLocksTest, RingIsInSharedMemoryAndNextStartRecoversIt) {
  const std::string err = LogAndDie();
  EXPECT_THAT(err, AllOf(HasSubstr("lock " + logs_),
                         HasSubstr("rings are in " + SharedMemoryName(0))));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_THAT(FilesIn(SharedMemoryName(0), ".ring"), SizeIs(1));
  struct stat st;
  ASSERT_EQ(stat(SharedMemoryName(0).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0700u);
  EXPECT_EQ(st.st_uid, user_.id());
  // `ringlog cat` finds the ring by its directory, too.
  EXPECT_THAT(DecodeAll({logs_}).texts,
              UnorderedElementsAre("child", "in the ring"));
  Start();
  EXPECT_THAT(FilesIn(SharedMemoryName(0), ".ring"), IsEmpty());
  EXPECT_THAT(Texts(), UnorderedElementsAre("child", "in the ring"));
}

TEST_F(NoLocksTest, RetentionLimitsHold) {
  options_.retention.max_files = 2;
  EXPECT_EQ(RunChild([this] {
              user_.Become();
              RingLogSink* const sink = MustInstall();
              for (int i = 0; i < 5; ++i) {
                LOG(INFO) << "record " << i;
                if (!sink->Rotate().ok()) _exit(1);
              }
            }),
            0);
  EXPECT_THAT(FilesIn(logs_, ".log.zst"), SizeIs(2));
  EXPECT_THAT(Texts(), ElementsAre("record 3", "record 4"));
}

// Attack: another user first makes a directory that all may write to, a symlink
// and a file with these names.
TEST_F(NoLocksTest, ForeignFilesWithTheseNamesAreNotUsed) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "needs files of another user";
  const std::string target = MakeTestDirectory();
  ASSERT_EQ(chmod(target.c_str(), 0777), 0);
  ASSERT_EQ(mkdir(SharedMemoryName(0).c_str(), 0777), 0);
  ASSERT_EQ(chmod(SharedMemoryName(0).c_str(), 0777), 0);
  ASSERT_EQ(symlink(target.c_str(), SharedMemoryName(1).c_str()), 0);
  WriteFile(SharedMemoryName(2), "a file");
  EXPECT_THAT(LogAndDie(), HasSubstr("rings are in " + SharedMemoryName(3)));
  EXPECT_THAT(FilesIn(SharedMemoryName(0), ""), IsEmpty());
  EXPECT_THAT(FilesIn(target, ""), IsEmpty());
  Start();
  EXPECT_THAT(FilesIn(SharedMemoryName(3), ".ring"), IsEmpty());
  EXPECT_THAT(Texts(), UnorderedElementsAre("child", "in the ring"));
}

// The directory belongs to the user of the process.
TEST_F(NoLocksTest, DirectoryThatOthersMayEnterIsNotUsed) {
  ASSERT_EQ(mkdir(SharedMemoryName(0).c_str(), 0700), 0);
  ASSERT_EQ(chmod(SharedMemoryName(0).c_str(), 0750), 0);
  ASSERT_EQ(lchown(SharedMemoryName(0).c_str(), user_.id(), getegid()), 0);
  EXPECT_THAT(LogAndDie(), HasSubstr("rings are in " + SharedMemoryName(1)));
}

TEST_F(NoLocksTest, RingIsInMemoryIfAllNamesAreTaken) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "needs files of another user";
  for (int number = 0; number < 10; ++number) {
    WriteFile(SharedMemoryName(number), "a file");
  }
  std::string err;
  EXPECT_EQ(RunChild(
                [this] {
                  user_.Become();
                  if (!MustInstall()->ring_path().empty()) _exit(1);
                  LOG(INFO) << "in memory";
                },
                &err),
            0);
  EXPECT_THAT(err, AllOf(HasSubstr("lock " + logs_),
                         HasSubstr("other users have taken this name"),
                         HasSubstr("records are kept in memory")));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_THAT(Texts(), ElementsAre("in memory"));
}

bool IsWithoutLocks(int fd) {
  char path[4096];
  const ssize_t size =
      readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof path);
  return size > 0 &&
         absl::StrContains({path, static_cast<size_t>(size)}, "/no_locks/");
}

}  // namespace

bool LockFails(int fd, int command) {
  return (command == F_OFD_SETLK || command == F_OFD_GETLK) &&
         IsWithoutLocks(fd);
}

}  // namespace ringlog

extern "C" int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (ringlog::LockFails(fd, command)) {
    errno = ENOLCK;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}
