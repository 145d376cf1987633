// A fixture for tests of BackgroundRecovery, with processes that leave rings.
//
// The library replaces unlinkat(2) in the whole program, so that a test can
// hold up a recovery just before its end, or make it fail there.

#ifndef RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_TEST_FIXTURE_H_
#define RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_TEST_FIXTURE_H_

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/harness/deletion_gate.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {

inline constexpr absl::Duration kInterval = absl::Minutes(1);
// Time of the first call in most tests; any time is possible.
inline constexpr absl::Duration kBegin = absl::Hours(7);

// Holds up each thread that is about to delete a ring; if `ring` is not empty,
// only that ring.
struct Gate : DeletionGate {
  std::string ring;
};
extern std::atomic<Gate*> g_gate;
// If true, no file can be deleted.
extern std::atomic<bool> g_is_stuck;
// Number of attempts to delete a ring.
extern std::atomic<int> g_attempts;

class BackgroundRecoveryFixture : public FlusherFixture {
 protected:
  BackgroundRecoveryFixture() { AwaitThreads(); }
  ~BackgroundRecoveryFixture() override { g_gate = nullptr; }

  BackgroundRecovery::Options RecoveryOptions() const {
    BackgroundRecovery::Options options;
    options.directories = {{directory_, directory_}};
    options.interval = kInterval;
    return options;
  }
  // Returns options of a recovery with a round every millisecond.
  BackgroundRecovery::Options FrequentRoundOptions() const {
    BackgroundRecovery::Options options = RecoveryOptions();
    options.interval = absl::Milliseconds(1);
    return options;
  }

  // Starts a round if one is due at `now`, waits until it has ended, and
  // returns the number of files that it has recovered.
  static uint64_t RunRound(BackgroundRecovery* recovery, absl::Duration now) {
    const uint64_t before = recovery->progress().recovered_files;
    recovery->StartRoundIfDue(now);
    WaitUntil([&] { return !recovery->progress().is_running; });
    AwaitThreads();
    return recovery->progress().recovered_files - before;
  }
  // Waits until no thread of a recovery exists: TSan does not let a child start
  // threads if its parent had one during the fork.
  static void AwaitThreads() {
    WaitUntil([] { return !HasThread("ringlog-recover"); });
  }

  struct Other {
    pid_t process;
    std::string ring;
  };
  // Starts a process that logs `text`. Call it before the test has threads,
  // because sanitizers do not support all allocations in a child of a process
  // with threads.
  Other Begin(const std::string& text) {
    const std::vector<std::string> before = Rings();
    Signal is_ready;
    Other other = {StartChild([&] {
                     MakeRing(64);
                     Append(text);
                     is_ready.Send();
                     for (;;) pause();
                   }),
                   ""};
    is_ready.Await();
    for (const std::string& ring : Rings()) {
      if (!absl::c_linear_search(before, ring)) other.ring = ring;
    }
    EXPECT_NE(other.ring, "");
    return other;
  }
  static void Kill(const Other& other) {
    EXPECT_EQ(kill(other.process, SIGKILL), 0);
    EXPECT_EQ(AwaitChild(other.process), SIGKILL);
  }
  // Returns the leftover ring of a process that logged `text` and was killed.
  std::string LeaveRing(const std::string& text) {
    const Other other = Begin(text);
    Kill(other);
    return other.ring;
  }

  std::vector<std::string> Rings() const {
    return FilesIn(directory_, ".ring");
  }
  static bool Exists(const std::string& path) {
    return access(path.c_str(), F_OK) == 0;
  }
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_TEST_FIXTURE_H_
