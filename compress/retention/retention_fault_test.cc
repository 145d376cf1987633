// Invariants checked: failing system calls neither stop retention nor make it
// delete more.
//
// This file replaces unlink(2), so that a file cannot be deleted, and
// statvfs(3), so that the free space is unknown.

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/retention/retention_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

using RetentionFaultTest = RetentionFixture;

// Path that cannot be deleted, and number of attempts.
std::string g_sticky;
int g_sticky_tries = 0;
// Path that another process deletes first.
std::string g_others;

TEST_F(RetentionFaultTest, FailedDeletionIsReportedAndNotRepeated) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(5);
    process.End();
  });
  const std::vector<std::string> segments = Segments("program");
  g_sticky = segments[0];
  g_sticky_tries = 0;
  ::testing::internal::CaptureStderr();
  RetentionRunner by_count = Runner(MaxFiles(3));
  by_count.RunIfDue();
  EXPECT_EQ(g_sticky_tries, 1);
  // Later segments are deleted instead.
  EXPECT_THAT(Segments("program"),
              ElementsAre(segments[0], segments[3], segments[4]));
  RetentionOptions options;
  options.max_age = absl::Nanoseconds(1);
  RetentionRunner by_age = Runner(options);
  for (int i = 0; i < 5; ++i) {
    by_age.SetDue();
    by_age.RunIfDue();
  }
  const std::string err = ::testing::internal::GetCapturedStderr();
  g_sticky.clear();
  EXPECT_EQ(g_sticky_tries, 2);
  EXPECT_EQ(by_age.errors(), 1u);
  EXPECT_EQ(by_age.deleted_files(), 2u);
  EXPECT_THAT(err, HasSubstr(absl::StrCat("delete ", segments[0])));
}

TEST_F(RetentionFaultTest, UnknownFreeSpaceDeletesNothing) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(5);
    process.End();
  });
  RetentionOptions options = MaxFiles(3);
  options.min_free_bytes = uint64_t{1} << 30;
  ::testing::internal::CaptureStderr();
  // In a new process, because each process writes at most one line a minute.
  InChild([&] { Runner(options).RunIfDue(); });
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
  RetentionRunner runner = Runner(options);
  ::testing::internal::CaptureStderr();
  WarnRateLimited("something");
  runner.RunIfDue();
  leave_rings(2);
  runner.SetDue();
  runner.RunIfDue();
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(kSparedLeftovers));
  EXPECT_THAT(err, HasSubstr(" and 2 more to enforce the retention limits"));
  EXPECT_THAT(err, Not(HasSubstr("1 more")));
  ::testing::internal::CaptureStderr();
  runner.RunLast();
  runner.RunLast();
  const std::string rest = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(rest, HasSubstr(" and 1 more to enforce the retention limits"));
  EXPECT_THAT(std::count(rest.begin(), rest.end(), '\n'), 1);
}

TEST_F(RetentionFaultTest, DeletionByAnotherProcessCounts) {
  InChild([&] {
    Process process(directory_, RetentionOptions());
    process.LogSegments(5);
    process.End();
  });
  const std::vector<std::string> segments = Segments("program");
  g_others = segments[0];
  RetentionRunner runner = Runner(MaxFiles(3));
  runner.RunIfDue();
  g_others.clear();
  EXPECT_THAT(Segments("program"),
              ElementsAre(segments[2], segments[3], segments[4]));
  EXPECT_EQ(runner.deleted_files(), 1u);
  EXPECT_EQ(runner.errors(), 0u);
}

int Unlink(const char* path) {
  if (!g_sticky.empty() && g_sticky == path) {
    ++g_sticky_tries;
    errno = EACCES;
    return -1;
  }
  if (g_others == path) syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

}  // namespace
}  // namespace ringlog

extern "C" int unlink(const char* name) noexcept {
  return ringlog::Unlink(name);
}

extern "C" int statvfs(const char*, struct statvfs*) noexcept {
  errno = EIO;
  return -1;
}
