// FailoverLog
//
// The log of one process that can fail over to another directory, and to
// another ring. It has a
// LogPipeline for `directory` (the first one) and, if there is a
// fallback_directory, another one for that. New records go to one of them.
//
//   fails over  after four write errors in a row
//   fails back  when the first pipeline has written all its records
//
// The thread of the first flusher does both, and retries its writes while new
// records go to the fallback. It creates the fallback's pipeline when it first
// needs that. If the first pipeline could not be created at the start, the
// thread of the fallback's flusher retries that, after a second and then at
// intervals that double up to a minute.
//
// If the path of a ring does not lead to it any more, for example because its
// directory was renamed, no start of the program would find it. The thread of
// its flusher then creates another pipeline for the same directory, and new
// records go there. The replaced pipeline writes the records that are left in
// its ring to the directory that it had, and ends its thread.
//
// All pipelines live as long as the FailoverLog, because a thread may still
// append to a ring that it got earlier. A replaced one has no file, no thread
// and no slots any more. A pipeline is replaced at most once a minute.
//
// The FailoverLog also owns the recovery of leftover rings in both directories,
// because recovery must not depend on one of the flushers.
//
// The segments of one ring are in one directory, so recovery does not depend on
// failover.

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
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/logsink/counters.h"
#include "ringlog/logsink/internal/log_pipeline.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Thread-safe. A forked child must neither use nor destroy its parent's
// FailoverLog, because threads that do not exist in the child may have been
// using it. Exceptions: is_of_this_process() and ring().
class FailoverLog {
 public:
  // Number of write errors in a row, without a successful write, after which
  // the log fails over. The last one comes about 70 ms after the first one; on
  // a full disk, the flusher also waits up to a second after each error for a
  // run of retention. The number is more than three, because after three errors
  // the flusher tries another file.
  static constexpr int kErrorsToSwitch = 4;

  // Creates the first pipeline. If that fails, creates the fallback's pipeline
  // and reports that on stderr. Then starts the recovery, if it is due at once.
  //
  // Requires: `options` are Resolved().
  // Errors are those of LogPipeline::Create() for `directory`. If the fallback
  // has failed too, the message has both messages.
  static absl::StatusOr<std::unique_ptr<FailoverLog>> Create(
      const RingLogSinkOptions& options, RingStorage storage,
      BackgroundRecovery::FirstRound first_round);

  // Calls Stop() and DeleteFiles().
  ~FailoverLog();
  FailoverLog(const FailoverLog&) = delete;
  FailoverLog& operator=(const FailoverLog&) = delete;

  bool is_of_this_process() const {
    return fork_generation_ == ForkGeneration::Now();
  }

  // Appends a record to ring(). See Ring::Append().
  void Append(Severity severity, absl::string_view head,
              absl::string_view body) {
    Ring* used = ring();
    while (used->Append(severity, head, body) == Ring::AppendResult::kDropped &&
           used->has_successor()) {
      // The ring was replaced after the call of ring().
      used = ring();
    }
  }

  // Returns the ring for new records. After failing over or back, a thread may
  // still append to the ring that it got earlier, because all rings live as
  // long as the FailoverLog and are emptied.
  //
  // Context: any thread; one load.
  Ring* ring() const {
    // Acquire: pairs with SwitchToRing(), because a flusher's thread may have
    // just created the ring.
    return ring_.load(std::memory_order_acquire);
  }
  // Returns true if new records go to the fallback. Takes no lock.
  bool uses_fallback() const;

  // Flushes all pipelines within `timeout`, the one with the new records first;
  // see Flusher::Flush().
  void Flush(absl::Duration timeout);

  // Rotates all pipelines within `timeout`; see Flusher::Rotate().
  //
  //   FailedPrecondition: the caller is the thread of a flusher; or Stop() was
  //                       called; or there is no flusher
  //   others:             those of Flusher::Rotate(), for any pipeline
  absl::Status Rotate(absl::Duration timeout);

  // Returns the lines of the last `count` records and gaps of all pipelines, by
  // time, the oldest first.
  std::vector<std::string> Recent(size_t count) const;
  // Returns the sum of all pipelines; see RingLogSink::counters().
  RingLogSinkCounters counters() const;

  // Waits until the first round of recovery has ended; returns false if
  // `timeout` passes first. Returns true at once if no round was due at once.
  bool WaitForRecovery(absl::Duration timeout) const {
    return recovery_.AwaitFirstRound(timeout);
  }

  // Uses `options` from now on.
  //
  // Requires: they are Resolved(), and CheckChange() allows them.
  void Reconfigure(const RingLogSinkOptions& options)
      ABSL_LOCKS_EXCLUDED(monitor_);

  // Stops all pipelines; the log does not fail over or back any more. If a
  // ring could not be emptied, new records go there. Errors are those of
  // LogPipeline::Stop(). In the thread of a flusher, only returns the error of
  // that flusher's Stop(), because a thread cannot wait for itself.
  absl::Status Stop() ABSL_LOCKS_EXCLUDED(monitor_);

  // Deletes the files of the rings that Stop() has emptied. Does nothing in the
  // thread of a flusher. Errors are those of LogPipeline::DeleteFile().
  //
  // Requires: Stop() was called.
  absl::Status DeleteFiles();

 private:
  enum Which : size_t { kFirst, kFallback };

  FailoverLog(const RingLogSinkOptions& options, RingStorage storage,
              BackgroundRecovery::FirstRound first_round);

  // A pipeline, and the one that it has replaced.
  struct Made {
    const std::unique_ptr<LogPipeline> log;
    Made* const replaced;  // owned; may be null
  };

  // Returns the pipeline; null if it does not exist.
  LogPipeline* log(Which which) const {
    // Acquire: pairs with Make() in another thread.
    const Made* const made = made_[which].load(std::memory_order_acquire);
    return made == nullptr ? nullptr : made->log.get();
  }
  // Returns true in the thread of the flusher of log(which). Returns false if
  // that pipeline was replaced, or is not known yet.
  bool IsThreadOf(Which which) const;
  // Returns the existing pipelines: the one with the new records first,
  // replaced ones last.
  std::vector<LogPipeline*> Logs() const;

  RingLogSinkOptions OptionsOf(Which which) const
      ABSL_SHARED_LOCKS_REQUIRED(monitor_);
  absl::Status Make(Which which) ABSL_LOCKS_EXCLUDED(monitor_);
  bool is_stopping() ABSL_LOCKS_EXCLUDED(monitor_);
  // Makes new records go to this pipeline. Returns false, and changes nothing,
  // if they go there already, or after Stop().
  bool SwitchTo(Which which) ABSL_LOCKS_EXCLUDED(monitor_);
  bool SwitchToRing(Ring* ring) ABSL_EXCLUSIVE_LOCKS_REQUIRED(monitor_);
  // Returns the pipeline whose flusher's thread is the caller; null if there is
  // none.
  LogPipeline* OwnOfThisThread() const;

  LogPipeline::Callbacks CallbacksOf(Which which);
  // FlusherOptions::on_write of the two flushers.
  void OnFirstWrite(const absl::Status& status);
  void OnFallbackWrite(const absl::Status& status);
  // FlusherOptions::on_ring_lost.
  absl::StatusOr<std::string> OnRingLost(Which which)
      ABSL_LOCKS_EXCLUDED(monitor_);
  void ReturnIfAllIsWritten();

  // Each record reads these two members. They must not share a cache line with
  // members that each batch changes.
  const uint32_t fork_generation_ = ForkGeneration::Now();
  // Ring for new records, in one of the pipelines. Changed only with monitor_
  // locked.
  std::atomic<Ring*> ring_{nullptr};

  const std::string directory_;
  const std::string fallback_directory_;  // empty: there is none
  const LineFormat format_;
  const RingStorage storage_;
  const bool reports_risks_;  // of directories
  BackgroundRecovery recovery_;

  ForkSafeMutex monitor_;
  RingLogSinkOptions options_ ABSL_GUARDED_BY(monitor_);
  bool stopping_ ABSL_GUARDED_BY(monitor_) = false;

  // Owned. Each is changed by one thread at a time.
  std::array<std::atomic<Made*>, 2> made_ = {};

  // Monotonic time of the last OnRingLost() that created a ring. Each is used
  // only by the thread of its flusher.
  std::array<absl::Duration, 2> replaced_at_ = {-absl::InfiniteDuration(),
                                                -absl::InfiniteDuration()};
  // Used only by the thread of the first flusher.
  int errors_ = 0;  // number of write errors in a row
  absl::Status last_error_;
  // Used only by the thread of the fallback's flusher: monotonic time of the
  // last attempt to create the first pipeline, and time until the next one.
  absl::Duration tried_at_ = MonotonicTime();
  absl::Duration retry_interval_ = absl::Seconds(1);
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_FAILOVER_LOG_H_
