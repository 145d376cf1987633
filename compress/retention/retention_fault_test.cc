// Invariants checked: failing system calls neither stop retention nor make it
// delete more.
//
// This file replaces unlinkat(2), so that a file cannot be deleted; fcntl(2),
// so that a file system has no locks; and statvfs(3), so that the free space is
// unknown.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/retention/retention_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using RetentionFaultTest = RetentionFixture;

// Path of the file that cannot be deleted, and number of attempts to do so.
std::string g_sticky;
int g_sticky_tries = 0;
// Path that another process deletes first.
std::string g_others;
// If not 0, locks fail with this errno.
int g_lock_error = 0;
// Whether the disk has no room for new files.
bool g_no_new_files = false;
// Called when a lock is tested, unless it is empty.
std::function<void()> g_at_lock_test;

TEST_F(RetentionFaultTest, FailedDeletionIsReportedAndNotRepeated) {
  MakeSegments(5);
  const std::vector<std::string> segments = Segments("program");
  g_sticky = segments[0];
  g_sticky_tries = 0;
  ::testing::internal::CaptureStderr();
  Enforce(MaxFiles(3));
  EXPECT_EQ(g_sticky_tries, 1);
  // Later segments are deleted instead.
  EXPECT_THAT(Segments("program"),
              ElementsAre(segments[0], segments[3], segments[4]));
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  RetentionRunner by_age = Runner();
  for (int i = 0; i < 5; ++i) Enforce(options, &by_age);
  const std::string err = ::testing::internal::GetCapturedStderr();
  g_sticky.clear();
  EXPECT_EQ(g_sticky_tries, 2);
  EXPECT_EQ(by_age.errors(), 1u);
  EXPECT_EQ(by_age.deleted_files(), 2u);
  EXPECT_THAT(err, HasSubstr(absl::StrCat("delete ", segments[0])));
}

TEST_F(RetentionFaultTest, UnknownFreeSpaceDeletesNothing) {
  MakeSegments(5);
  RetentionOptions options = MaxFiles(3);
  options.min_free_bytes = uint64_t{1} << 30;
  ::testing::internal::CaptureStderr();
  // In a new process, because each process writes at most one line a minute.
  InChild([&] { Enforce(options); });
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(Segments("program"), SizeIs(3));
  EXPECT_THAT(err,
              HasSubstr("read the free space of the disk of " + directory_));
}

// Other messages of the same minute do not suppress these reports.
TEST_F(RetentionFaultTest, EachDeletedRingIsReported) {
  const auto leave_rings = [&](size_t count) {
    InChild([&] {
      RingOptions ring;
      ring.slot_count = 2;
      ring.program = "program";
      ring.host = "host";
      for (size_t i = 0; i < count; ++i) {
        if (!Ring::CreateIn(directory_, RingFileName, ring).ok()) abort();
      }
    });
  };
  leave_rings(kSparedLeftovers + 3);
  RetentionOptions options;
  options.max_bytes = 1;
  RetentionRunner runner = Runner();
  ::testing::internal::CaptureStderr();
  WarnRateLimited("something");
  Enforce(options, &runner);
  leave_rings(2);
  Enforce(options, &runner);
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(kSparedLeftovers));
  EXPECT_THAT(err, HasSubstr(" and 2 more to enforce the retention limits"));
  EXPECT_THAT(err, Not(HasSubstr("1 more")));
  ::testing::internal::CaptureStderr();
  runner.ReportDeletedRings();
  runner.ReportDeletedRings();
  const std::string rest = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(rest, HasSubstr(" and 1 more to enforce the retention limits"));
  EXPECT_THAT(std::count(rest.begin(), rest.end(), '\n'), 1);
}

TEST_F(RetentionFaultTest, DeletionByAnotherProcessCounts) {
  MakeSegments(5);
  const std::vector<std::string> segments = Segments("program");
  g_others = segments[0];
  RetentionRunner runner = Runner();
  Enforce(MaxFiles(3), &runner);
  g_others.clear();
  EXPECT_THAT(Segments("program"),
              ElementsAre(segments[2], segments[3], segments[4]));
  EXPECT_EQ(runner.errors(), 0u);
}

TEST_F(RetentionFaultTest, LockErrorIsReportedAndCounted) {
  MakeSegments(5);
  for (const int error : {EBADF, EIO}) {
    ::testing::internal::CaptureStderr();
    InChild([&] {
      g_lock_error = error;
      RetentionRunner runner = Runner();
      Enforce(MaxFiles(3), &runner);
      if (runner.errors() != 5 || runner.deleted_files() != 0) abort();
      // The runner tries each file again only after ten minutes.
      Enforce(MaxFiles(3), &runner);
      if (runner.errors() != 5) abort();
    });
    EXPECT_THAT(::testing::internal::GetCapturedStderr(),
                HasSubstr(absl::StrCat("lock ", Segments("program")[0])));
  }
  EXPECT_THAT(Segments("program"), SizeIs(5));
}

TEST_F(RetentionFaultTest, LimitsHoldWithoutLocks) {
  MakeSegments(5);
  InChild([&] {
    g_lock_error = ENOLCK;
    RetentionRunner runner = Runner();
    Enforce(MaxFiles(3), &runner);
    if (runner.errors() != 0 || runner.deleted_files() != 2) abort();
  });
  EXPECT_THAT(Segments("program"), SizeIs(3));
}

// No ring file shows that the process is alive, as on another host.
TEST_F(RetentionFaultTest, WithoutLocksSegmentThatMayBeOpenStaysForADay) {
  InChild([&] {
    Process process(directory_, RetentionOptions(), "program",
                    /*with_file=*/false);
    process.LogSegments(4);
    raise(SIGKILL);
  });
  const std::string open = Segments("program").back();
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  InChild([&] {
    g_lock_error = ENOLCK;
    RetentionRunner runner = Runner();
    Enforce(options, &runner);
    if (runner.errors() != 0 || runner.deleted_files() != 3) abort();
  });
  EXPECT_THAT(Segments("program"), ElementsAre(open));
  const time_t day_ago = time(nullptr) - 24 * 3600 - 1;
  const timespec times[2] = {{day_ago, 0}, {day_ago, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, open.c_str(), times, 0), 0);
  InChild([&] {
    g_lock_error = ENOLCK;
    Enforce(options);
  });
  EXPECT_THAT(Segments("program"), IsEmpty());
}

// Between listing and deletion, another process replaces the segment with its
// own file.
TEST_F(RetentionFaultTest, FileThatReplacesTheListedOneStays) {
  MakeSegments(4);
  const std::vector<std::string> segments = Segments("program");
  const std::string other = directory_ + "/other";
  WriteFile(other, "precious");
  g_at_lock_test = [&, is_first = true]() mutable {
    if (std::exchange(is_first, false)) {
      ASSERT_EQ(rename(other.c_str(), segments[0].c_str()), 0);
    }
  };
  RetentionRunner runner = Runner();
  Enforce(MaxFiles(3), &runner);
  g_at_lock_test = nullptr;
  EXPECT_EQ(ReadFile(segments[0]), "precious");
  EXPECT_EQ(runner.errors(), 0u);
}

// A full disk has no room for the file that shows the owner of new files.
TEST_F(RetentionFaultTest, FreesFullDisk) {
  MakeSegments(5);
  g_no_new_files = true;
  RetentionRunner runner = Runner();
  Enforce(MaxFiles(3), &runner);
  g_no_new_files = false;
  EXPECT_EQ(runner.errors(), 0u);
  EXPECT_THAT(Segments("program"), SizeIs(3));
}

int Unlink(int directory, const char* name, int flags) {
  const auto is = [name](const std::string& path) {
    return !path.empty() && Basename(path) == Basename(name);
  };
  if (is(g_sticky)) {
    ++g_sticky_tries;
    errno = EACCES;
    return -1;
  }
  if (is(g_others)) syscall(SYS_unlinkat, directory, name, flags);
  return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
}

int Fcntl(int fd, int command, void* argument) {
  if (command == F_OFD_GETLK) {
    if (g_at_lock_test) g_at_lock_test();
    if (g_lock_error != 0) {
      errno = g_lock_error;
      return -1;
    }
  }
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

}  // namespace
}  // namespace ringlog

extern "C" {

int unlinkat(int fd, const char* name, int flag) noexcept {
  return ringlog::Unlink(fd, name, flag);
}

int fcntl(int fd, int cmd, ...) {
  va_list arguments;
  va_start(arguments, cmd);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return ringlog::Fcntl(fd, cmd, argument);
}

int openat(int fd, const char* file, int oflag, ...) {
  va_list arguments;
  va_start(arguments, oflag);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  const bool is_new = (oflag & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0;
  if (is_new && ringlog::g_no_new_files) {
    errno = ENOSPC;
    return -1;
  }
  return static_cast<int>(syscall(SYS_openat, fd, file, oflag, mode));
}

int statvfs(const char*, struct statvfs*) noexcept {
  errno = EIO;
  return -1;
}

}  // extern "C"
