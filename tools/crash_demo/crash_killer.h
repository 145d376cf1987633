// When crash_demo's victim dies: moments spread over its whole run, and over
// what its flusher does.

#ifndef RINGLOG_TOOLS_CRASH_DEMO_CRASH_KILLER_H_
#define RINGLOG_TOOLS_CRASH_DEMO_CRASH_KILLER_H_

#include <sys/types.h>

#include <cstdint>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/tools/crash_demo/crash_counters.h"

namespace ringlog {

struct KillMoment {
  // Not before so many records have been acknowledged, of all threads.
  uint64_t records = 1;
  // Then not before the next segment has been begun.
  bool at_new_segment = false;
  // Then after this time.
  absl::Duration delay;
};

// "after 4711 records", "at the first new segment after 4711 records"
std::string Describe(const KillMoment& moment);

// Thread-compatible.
class CrashKiller {
 public:
  // `records` are what a run has in all.
  CrashKiller(uint64_t seed, uint64_t records)
      : random_(seed), records_(records) {}

  // Of kill number `kill` of `kills`, from 1: at random within its share of the
  // run, so that some are early and some are late; every third is during a
  // rotation.
  KillMoment Choose(int kill, int kills);

  // Waits for the moment and sends SIGKILL, wherever the victim's threads are.
  // `directory` is where its segments are. The victim has been waited for when
  // this returns.
  //   Aborted:           it has ended by itself
  //   DeadlineExceeded:  it has not logged anything for a minute
  absl::Status KillAt(const KillMoment& moment, pid_t victim,
                      const SharedCrashCounters& counters,
                      const std::string& directory) const;

 private:
  class SegmentWatch;

  absl::Status WaitFor(const KillMoment& moment, pid_t victim,
                       const SharedCrashCounters& counters,
                       const SegmentWatch& watch) const;

  std::mt19937_64 random_;
  const uint64_t records_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_CRASH_DEMO_CRASH_KILLER_H_
