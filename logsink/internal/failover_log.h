// FailoverLog
//
// What one process logs into when its directory may fail: a log for
// `directory`, and one for `fallback_directory`, each with a ring and a flusher
// of its own. One of them gets the new records. Without a fallback_directory
// there is only the first.
//
//   to the fallback   after four errors of writing in a row
//   back              when all that waited for `directory` has been written
//
// Both are done in the thread of the first log's flusher, which goes on trying
// while the other one has the new records. The log for the fallback is made at
// the first need, in that thread, and stays until the end. If it is the first
// log that could not be made, at the start, the thread of the other one tries
// to make it, after a second and then more rarely.
//
// No ring has segments in two directories: recovery need not know of this.

#ifndef RINGLOG_LOGSINK_INTERNAL_FAILOVER_LOG_H_
#define RINGLOG_LOGSINK_INTERNAL_FAILOVER_LOG_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/counters.h"
#include "ringlog/logsink/internal/log_pipeline.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Thread-safe. A forked child has its parent's in its memory, and may neither
// use nor destroy it, for threads that it does not have may be in the middle of
// it; it may ask is_of_this_process() and ring().
class FailoverLog {
 public:
  // So many errors of writing in a row, as counters().write_errors counts them,
  // and nothing written in between: some 70 ms. Three may be those of one file,
  // which the flusher then ends to begin another.
  static constexpr int kErrorsToSwitch = 4;

  // `options` are Resolved(). If the first log cannot be made it is the other
  // one, and stderr says so. `limits_wait` is
  // FlusherOptions::limits_wait.
  //   the errors of LogPipeline::Create() for `directory`; if there is a
  //   fallback its message follows
  static absl::StatusOr<std::unique_ptr<FailoverLog>> Create(
      const RingLogSinkOptions& options, LogPipeline::Storage storage,
      bool limits_wait);

  // Stop(), and DeleteFiles().
  ~FailoverLog();
  FailoverLog(const FailoverLog&) = delete;
  FailoverLog& operator=(const FailoverLog&) = delete;

  bool is_of_this_process() const {
    return fork_generation_ == ForkGeneration::Now();
  }

  // Where new records go. A thread that is just about to write to it when it
  // changes does so: both stay, and both are emptied.
  //
  // Context: any thread; a load.
  Ring* ring() const {
    // Acquire: it may be one that a flusher's thread has just made.
    return ring_.load(std::memory_order_acquire);
  }
  // Whether that is the fallback's.
  bool uses_fallback() const;

  // Of both: that with the new records first, the other one in what is then
  // left of the time.
  void Flush(absl::Duration timeout);
  //   FailedPrecondition: as of Flusher::Rotate(), of either one's thread; or
  //                       there is no flusher
  //   others:             of either one
  absl::Status Rotate(absl::Duration timeout);

  // What both have, by time.
  std::vector<std::string> Recent(size_t count) const;
  // The sum of both; see RingLogSink::counters().
  RingLogSinkCounters counters() const;

  // Requires: Resolved(), and CheckChange().
  void Reconfigure(const RingLogSinkOptions& options)
      ABSL_LOCKS_EXCLUDED(monitor_);
  void StartLimits() ABSL_LOCKS_EXCLUDED(monitor_);

  // Stops both; nothing is switched any more. Errors are those of
  // LogPipeline::Stop(); new records go to the ring that could not be emptied,
  // if there is one. Does nothing in the thread of a flusher, as that says.
  absl::Status Stop() ABSL_LOCKS_EXCLUDED(monitor_);
  // Of those that Stop() has ended without an error. Requires: Stop() was
  // called.
  absl::Status DeleteFiles();

 private:
  enum Which : size_t { kFirst, kFallback };

  FailoverLog(const RingLogSinkOptions& options, LogPipeline::Storage storage,
              bool limits_wait)
      : directory_(options.directory),
        fallback_directory_(options.fallback_directory),
        format_(options.format),
        storage_(storage),
        options_(options),
        limits_wait_(limits_wait) {}

  // Null if it has not been made.
  LogPipeline* log(Which which) const {
    // Acquire: pairs with Make() on another thread.
    return logs_[which].load(std::memory_order_acquire);
  }
  // Those that there are, that with the new records first.
  std::vector<LogPipeline*> Logs() const;

  RingLogSinkOptions OptionsOf(Which which) const
      ABSL_SHARED_LOCKS_REQUIRED(monitor_);
  absl::Status Make(Which which) ABSL_LOCKS_EXCLUDED(monitor_);
  bool is_stopping() ABSL_LOCKS_EXCLUDED(monitor_);
  // False if new records go there already, or Stop() has been called.
  bool SwitchTo(Which which) ABSL_LOCKS_EXCLUDED(monitor_);
  bool SwitchToRing(Ring* ring) ABSL_EXCLUSIVE_LOCKS_REQUIRED(monitor_);
  // That whose flusher calls; null if none does.
  LogPipeline* OwnOfThisThread() const;

  // What the flushers tell, each in its thread.
  void FirstHasWritten(const absl::Status& status);
  void FallbackHasWritten(const absl::Status& status);
  void ReturnIfAllIsWritten();

  // What each record needs, away from what each batch changes.
  const uint32_t fork_generation_ = ForkGeneration::Now();
  // Of one of the logs. Changed with monitor_.
  std::atomic<Ring*> ring_{nullptr};

  const std::string directory_;
  const std::string fallback_directory_;  // empty: there is none
  const LineFormat format_;
  const LogPipeline::Storage storage_;

  ForkSafeMutex monitor_;
  RingLogSinkOptions options_ ABSL_GUARDED_BY(monitor_);
  bool limits_wait_ ABSL_GUARDED_BY(monitor_);
  bool stopping_ ABSL_GUARDED_BY(monitor_) = false;

  // Owned. Set once.
  std::array<std::atomic<LogPipeline*>, 2> logs_ = {};

  // Of the first log's thread.
  int errors_ = 0;  // in a row
  absl::Status last_error_;
  // Of the other one's thread: when it was last tried to make the first log,
  // monotonic, and how long it is until the next time.
  absl::Duration tried_at_ = MonotonicTime();
  absl::Duration retry_interval_ = absl::Seconds(1);
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_FAILOVER_LOG_H_
