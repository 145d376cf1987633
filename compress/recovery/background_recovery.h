// BackgroundRecovery
//
// Recovers leftover rings (leftover_recovery.h) while the program runs: when it
// starts, and then at intervals, because the children of a long-running program
// may be killed.
//
// A round is one pass over all directories:
//
//   for each directory:
//     list the leftovers
//     for each leftover that has not failed within the last ten minutes:
//       recover it
//   report new errors on stderr, in one line
//
// Each round has a thread of its own. A round without leftovers takes some
// milliseconds; a recovery takes 50 ms to many seconds. A round without enough
// memory ends early, and reports that, or the errors that it has found; without
// memory for the line, the next round reports these errors. The thread owns all
// its state, so the BackgroundRecovery may be destroyed first. If the process
// ends during a recovery, another process repeats it.

#ifndef RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_H_
#define RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringlog/compress/segment/segment_writer.h"

namespace ringlog {

// Thread-safe. Any number of processes may use the same directories. A forked
// child must not use its parent's BackgroundRecovery.
class BackgroundRecovery {
 public:
  // A round recovers the rings in `rings` and in `segments` that write their
  // segments to `segments`.
  struct Directories {
    std::string segments;
    std::string rings;  // may equal `segments`
  };

  enum class FirstRound {
    kAtOnce,
    kAfterInterval,  // after the first StartRoundIfDue()
  };

  struct Options {
    std::vector<Directories> directories;
    FirstRound first_round = FirstRound::kAtOnce;
    // Time from the start of one round to the start of the next one. Infinite:
    // there is no round except a first one that is due at once.
    absl::Duration interval = absl::Minutes(1);
    SegmentWriterOptions segment;  // of the segments that a recovery writes
  };

  struct Progress {
    // A round is running, or the first one is due at once and has not started.
    bool is_running = false;
    uint64_t ended_rounds = 0;
    uint64_t recovered_files = 0;
  };

  explicit BackgroundRecovery(const Options& options);
  BackgroundRecovery(const BackgroundRecovery&) = delete;
  BackgroundRecovery& operator=(const BackgroundRecovery&) = delete;

  // Starts a round if one is due at `now`, a MonotonicTime(), and none is
  // running. Returns at once. If the system has no thread to give, reports that
  // on stderr, and the round counts as ended.
  void StartRoundIfDue(absl::Duration now);

  // Waits until the first round has ended; returns false if `timeout` passes
  // first. Returns true at once with FirstRound::kAfterInterval.
  bool AwaitFirstRound(absl::Duration timeout) const;

  Progress progress() const;

  // Sets the options of segments for all later rounds.
  void Reconfigure(const SegmentWriterOptions& segment);

 private:
  struct State;

  const std::shared_ptr<State> state_;  // shared with the thread of a round
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_H_
