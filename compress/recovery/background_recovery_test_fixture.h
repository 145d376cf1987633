// A BackgroundRecovery, and processes that leave it something to do.
//
// unlink(2) is taken over, in the whole program, so that a recovery can be held
// up at its end, and fail there.

#ifndef RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_TEST_FIXTURE_H_
#define RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_TEST_FIXTURE_H_

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {

inline constexpr absl::Duration kInterval = absl::Minutes(1);
// When a runner is first called: any time does.
inline constexpr absl::Duration kBegin = absl::Hours(7);

// Holds up who wants to delete a ring.
struct Gate {
  Signal has_come, may_go_on, has_deleted;
};
extern std::atomic<Gate*> g_gate;
// Whether a ring cannot be deleted.
extern std::atomic<bool> g_is_stuck;

class BackgroundRecoveryTest : public FlusherFixture {
 protected:
  BackgroundRecoveryTest() { AwaitThreads(); }
  ~BackgroundRecoveryTest() override { g_gate = nullptr; }

  BackgroundRecovery Runner(bool is_due = true) const {
    return BackgroundRecovery({directory_, directory_, "program"}, kInterval,
                              is_due);
  }

  // Looks, if that is due, and waits until what was found has been tried.
  static bool RunToEnd(BackgroundRecovery* runner, absl::Duration now) {
    bool has_recovered = false;
    WaitUntil([&] {
      const bool has_ended = runner->RunIfDue(now, SegmentWriterOptions());
      has_recovered |= has_ended;
      return !has_ended && !runner->is_running();
    });
    AwaitThreads();
    return has_recovered;
  }
  // Until none is there that recovers, or has done so: TSan lets no child start
  // threads that was forked meanwhile.
  static void AwaitThreads() {
    WaitUntil([] { return !HasThread("ringlog-recover"); });
  }

  // A process that has logged. Begun before the test has threads: sanitizers
  // promise nothing of what a child allocates then.
  struct Other {
    pid_t process;
    std::string ring;
  };
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
  // Of a process that logs and is killed, its ring.
  std::string LeaveRing(const std::string& text) {
    const Other other = Begin(text);
    Kill(other);
    return other.ring;
  }

  std::vector<std::string> Rings() const {
    return FilesIn(directory_, ".ring");
  }
  bool IsThere(const std::string& path) const {
    return access(path.c_str(), F_OK) == 0;
  }

  FlusherOptions ImpatientOptions() {
    FlusherOptions options = Options();
    options.leftover_interval = absl::Milliseconds(1);
    return options;
  }
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_TEST_FIXTURE_H_
