// BackgroundRecovery
//
// While a program runs: looks now and then for what processes that died have
// left in its directories, and has it recovered (leftover.h). A program whose
// children are killed would collect their rings else, until it is started
// again. What it is not: the recovery at the start, which is Install()'s.
//
// A recovery takes 50 ms to many seconds, which a flusher does not have: when
// there is something to recover, and only then, a thread is started, which ends
// when it has tried all that was found. It has for itself what it needs: the
// runner may be destroyed meanwhile, or the process end. What that cuts short
// somebody does again.

#ifndef RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_H_
#define RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/compress/segment/segment_writer.h"

namespace ringlog {

// Thread-compatible; the flusher's thread calls it. Any number of processes may
// do the same in one directory at once. In a forked child, which has no such
// thread, nothing of it may be used.
class BackgroundRecovery {
 public:
  // Looks once in `interval`: for the first time with the first RunIfDue() if
  // it `is_due`, else so long after that. Never in infinity, nor for a ring in
  // memory, which says that there are no directories to be had.
  BackgroundRecovery(LogDirectories directories, absl::Duration interval,
                     bool is_due)
      : directories_(std::move(directories)), interval_(interval) {
    if (is_due) looked_at_ = -absl::InfiniteDuration();
  }

  // Looks, if that is due at `now`, of MonotonicTime(), and no thread of before
  // is still at work; starts one if something is found. `options` are those of
  // segments that it makes. What cannot be recovered is told on stderr once,
  // and tried again every ten minutes.
  //
  // True if a thread has ended since the last call, and has recovered
  // something.
  bool RunIfDue(absl::Duration now, const SegmentWriterOptions& options);

  // Whether a thread is at work whose end RunIfDue() has not seen.
  bool is_running() const { return run_ != nullptr; }

 private:
  struct Found {
    std::string path;
    bool was_told = false;  // that it cannot be recovered
  };
  struct Run;

  std::vector<Found> Look(absl::Duration now);
  void Start(std::shared_ptr<Run> run, absl::Duration now);

  const LogDirectories directories_;
  const absl::Duration interval_;
  std::optional<absl::Duration> looked_at_;  // monotonic
  std::map<std::string, absl::Duration> failed_at_;
  std::shared_ptr<Run> run_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_BACKGROUND_RECOVERY_H_
