// Choice of the moments at which crash_demo kills its victim: spread over the
// victim's run, and over the work of its flusher.

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

// A moment is reached in three steps.
struct KillMoment {
  // 1. All threads together have this number of acknowledged records.
  uint64_t records = 1;
  // 2. If true, a new segment has been begun after step 1, or the run has no
  //    more records.
  bool at_new_segment = false;
  // 3. This time has passed since step 2.
  absl::Duration delay;
};

// Returns, for example, "after 4711 records" or "at the first new segment after
// 4711 records".
std::string Describe(const KillMoment& moment);

// Chooses moments from a seed and kills victims.
//
// Thread-compatible.
class CrashKiller {
 public:
  // `records` is the number of records in a run, of all threads.
  CrashKiller(uint64_t seed, uint64_t records)
      : random_(seed), records_(records) {}

  // Returns the moment for kill number `kill`, from 1 to `kills`. Divides the
  // run into `kills` equal shares; the moment is random within the share of
  // this kill. Each third kill is during a rotation.
  KillMoment Choose(int kill, int kills);

  // Waits for the moment, sends SIGKILL to `victim`, and waits for its end,
  // also after an error. `directory` is the directory of its segments.
  // Requires: `victim` is a child of this process.
  //   Aborted:           the victim ended before the kill
  //   DeadlineExceeded:  the victim logged no record for a minute
  //   others:            those of inotify_init1(2) and inotify_add_watch(2)
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
