// Invariants checked:
//   - no caller waits for a run, except for a bounded time at the end
//   - a run that is not finished at the end deletes nothing more
//   - without a thread, the run is due again, and this is reported once
//   - a slow listing of a directory does not prevent deletions
//   - a lack of memory does not end the process
//
// This file replaces unlinkat(2), so that a test can hold up a run, and
// openat(2), so that listing a directory takes long.

#include "ringlog/compress/retention/background_retention.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/config.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/retention/retention_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/deletion_gate.h"
#include "ringlog/testing/harness/failing_allocations.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kLong = absl::Minutes(1);

// Holds up the deletion of a segment.
std::atomic<DeletionGate*> g_gate{nullptr};
std::atomic<bool> g_listing_is_slow{false};

class BackgroundRetentionTest : public RetentionFixture {
 protected:
  ~BackgroundRetentionTest() override { g_gate = nullptr; }

  std::unique_ptr<BackgroundRetention> Retention(uint64_t max_files) const {
    return std::make_unique<BackgroundRetention>(
        RetentionPolicy{MaxFiles(max_files), kDefaultSegmentMode},
        LogDirectories{directory_, directory_, "program"}, nullptr);
  }
  static void AwaitThreads() {
    WaitUntil([] { return !HasThread("ringlog-retain"); });
  }
};

TEST_F(BackgroundRetentionTest, CallersDoNotWaitForRun) {
  MakeSegments(5);
  DeletionGate gate;
  g_gate = &gate;
  const auto retention = Retention(3);
  retention->RunIfDue();
  gate.has_come.Await();
  EXPECT_FALSE(retention->MayRecover());
  EXPECT_FALSE(retention->AwaitRun(absl::ZeroDuration()));
  for (int i = 0; i < 3; ++i) {
    retention->SetDue();
    retention->RunIfDue();
    retention->Reconfigure({MaxFiles(4), kDefaultSegmentMode});
  }
  EXPECT_EQ(retention->deleted_files(), 0u);
  g_gate = nullptr;
  gate.may_go_on.Send();
  gate.has_deleted.Await();
  EXPECT_TRUE(retention->AwaitRun(kLong));
  EXPECT_TRUE(retention->MayRecover());
  EXPECT_EQ(retention->deleted_files(), 2u);
  EXPECT_THAT(Segments("program"), SizeIs(3));
  EXPECT_FALSE(HasThread("ringlog-retain"));
}

TEST_F(BackgroundRetentionTest, LimitsHoldAfterLastRun) {
  MakeSegments(5);
  const auto retention = Retention(3);
  retention->RunLast();
  EXPECT_THAT(Segments("program"), SizeIs(3));
  EXPECT_FALSE(HasThread("ringlog-retain"));
}

TEST_F(BackgroundRetentionTest, EndDoesNotWaitForStuckRun) {
  MakeSegments(5);
  DeletionGate gate;
  g_gate = &gate;
  auto retention = Retention(1);
  retention->RunIfDue();
  gate.has_come.Await();
  retention->RunLast();
  EXPECT_EQ(retention->deleted_files(), 0u);
  retention.reset();
  g_gate = nullptr;
  gate.may_go_on.Send();
  gate.has_deleted.Await();
  AwaitThreads();
  // Only the deletion that had begun was finished.
  EXPECT_THAT(Segments("program"), SizeIs(4));
}

// Attack: the directory has so many files of another user that listing it takes
// longer than a run may take.
TEST_F(BackgroundRetentionTest, SlowListingDoesNotPreventDeletion) {
  MakeSegments(5);
  const auto retention = Retention(3);
  g_listing_is_slow = true;
  retention->RunIfDue();
  EXPECT_TRUE(retention->AwaitRun(kLong));
  g_listing_is_slow = false;
  EXPECT_EQ(retention->deleted_files(), 2u);
}

// In turn, each allocation of the thread fails together with all later ones.
TEST_F(BackgroundRetentionTest, LackOfMemoryDoesNotEndProcess) {
#ifndef ABSL_HAVE_EXCEPTIONS
  GTEST_SKIP() << "without exceptions, a lack of memory ends the process";
#endif
  MakeSegments(5);
  uint64_t deleted = 0;
  for (int allocations = 0; deleted < 2; allocations += 1 + allocations / 8) {
    const auto retention = Retention(3);
    FailAllocationsAfter(allocations);
    retention->RunIfDue();
    EXPECT_TRUE(retention->AwaitRun(kLong));
    FailAllocationsAfter(kNoFailure);
    EXPECT_TRUE(retention->MayRecover());
    deleted += retention->deleted_files();
    ASSERT_LT(allocations, 100000);
  }
  EXPECT_THAT(Segments("program"), SizeIs(3));
}

// Leaves the ring of a killed process.
void LeaveRing(const std::string& directory) {
  InChild([&] {
    RingOptions options;
    options.slot_count = 64;
    options.program = "program";
    const auto ring = Ring::CreateIn(directory, RingFileName, options);
    if (!ring.ok()) abort();
    raise(SIGKILL);
  });
}

// The first run reports the ring that it deletes. The destructor reports the
// ring that the second run deleted, in a thread without memory.
TEST_F(BackgroundRetentionTest, LackOfMemoryAtEndDoesNotEndProcess) {
#ifndef ABSL_HAVE_EXCEPTIONS
  GTEST_SKIP() << "without exceptions, a lack of memory ends the process";
#endif
  for (size_t i = 0; i < kSparedLeftovers; ++i) LeaveRing(directory_);
  auto retention = std::make_unique<BackgroundRetention>(
      RetentionPolicy{MaxBytes(1), kDefaultSegmentMode},
      LogDirectories{directory_, directory_, "program"}, nullptr);
  for (uint64_t run = 1; run <= 2; ++run) {
    LeaveRing(directory_);
    retention->SetDue();
    retention->RunIfDue();
    AwaitThreads();
    EXPECT_EQ(retention->deleted_files(), run);
  }
  FailAllocationsAfter(0);
  std::thread end([&] { retention.reset(); });
  end.join();
  FailAllocationsAfter(kNoFailure);
}

void LimitMemory() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  const rlim_t bytes = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
  const rlimit limit = {bytes, bytes};
  if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(101);
}

TEST_F(BackgroundRetentionTest, RunWithoutThreadIsReportedOnce) {
  if (kHasSanitizer) GTEST_SKIP() << "the sanitizer needs the memory";
  MakeSegments(5);
  std::string err;
  EXPECT_EQ(RunChild(
                [&] {
                  const auto retention = Retention(3);
                  LimitMemory();
                  // Uses up the stacks that the C library keeps.
                  pthread_t thread;
                  const auto wait = [](void*) -> void* {
                    for (;;) pause();
                  };
                  while (pthread_create(&thread, nullptr, wait, nullptr) == 0) {
                  }
                  for (int i = 0; i < 3; ++i) {
                    retention->SetDue();
                    retention->RunIfDue();
                    if (!retention->MayRecover()) _exit(1);
                  }
                  retention->RunLast();
                  _exit(retention->deleted_files() == 0 ? 0 : 2);
                },
                &err),
            0);
  EXPECT_THAT(err, HasSubstr("start thread ringlog-retain"));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

int OpenAt(int directory, const char* name, int flags, mode_t mode) {
  const bool lists = strcmp(name, ".") == 0 && (flags & O_TMPFILE) != O_TMPFILE;
  // Simulates system calls that take longer than a run may take.
  if (lists && g_listing_is_slow) absl::SleepFor(absl::Milliseconds(1100));
  return static_cast<int>(syscall(SYS_openat, directory, name, flags, mode));
}

int Unlink(int directory, const char* name, int flags) {
  DeletionGate* const gate =
      absl::EndsWith(name, ".log.zst") ? g_gate.load() : nullptr;
  const DeletionPass pass(gate);
  return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
}

}  // namespace
}  // namespace ringlog

extern "C" int openat(int fd, const char* file, int oflag, ...) {
  va_list arguments;
  va_start(arguments, oflag);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return ringlog::OpenAt(fd, file, oflag, mode);
}

// The C library declares it noexcept.
extern "C" int unlinkat(int fd, const char* name, int flag) noexcept {
  return ringlog::Unlink(fd, name, flag);
}
