// LogPipeline
//
// A ring and the flusher that empties it. Neither depends on Abseil's log
// entries, and neither continues in a forked child.

#ifndef RINGLOG_LOGSINK_INTERNAL_LOG_PIPELINE_H_
#define RINGLOG_LOGSINK_INTERNAL_LOG_PIPELINE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// The storage of a ring: a file that is mapped into memory, or memory only.
enum class RingStorage { kFile, kMemory };

// Thread-safe. A forked child must neither use nor destroy its parent's
// LogPipeline, because threads that do not exist in the child may have been
// using it.
class LogPipeline {
 public:
  // Functions that the flusher calls; see FlusherOptions. Each may be empty.
  struct Callbacks {
    std::function<void(const absl::Status&)> on_write;
    std::function<absl::StatusOr<std::string>()> on_ring_lost;
  };

  // Creates the directories and the ring, and starts the flusher. With
  // OverflowPolicy::kOverwriteOldest there is no flusher. The flusher starts
  // the rounds of `recovery` when they are due, unless it is null.
  //
  // Requires: `options` are Resolved(). `recovery` outlives the LogPipeline.
  // Errors are those of RingLogSink::Create().
  static absl::StatusOr<std::unique_ptr<LogPipeline>> Create(
      const RingLogSinkOptions& options, RingStorage storage,
      BackgroundRecovery* recovery, Callbacks callbacks);

  // Calls Stop(), and DeleteFile() if that succeeds.
  ~LogPipeline();
  LogPipeline(const LogPipeline&) = delete;
  LogPipeline& operator=(const LogPipeline&) = delete;

  // Returns the ring, which lives as long as the LogPipeline.
  Ring* ring() const { return ring_.get(); }
  // Returns null with OverflowPolicy::kOverwriteOldest.
  Flusher* flusher() const { return flusher_.get(); }

  // Reconfigures the flusher, if there is one; see Flusher::Reconfigure().
  void Reconfigure(const RingLogSinkOptions& options);

  // Stops the flusher, which first writes all records; see Flusher::Stop() for
  // its errors. Without a flusher, returns OK; the records stay in the ring,
  // and another process recovers them.
  absl::Status Stop();

  // Deletes the ring's file. Does nothing if the ring has a crash report, or if
  // there is no flusher: another process recovers such a ring. Errors are those
  // of unlink(2), with the path.
  //
  // Requires: Stop() has returned OK.
  absl::Status DeleteFile();

 private:
  LogPipeline(std::unique_ptr<Ring> ring, Callbacks callbacks)
      : ring_(std::move(ring)), callbacks_(std::move(callbacks)) {}

  FlusherOptions FlusherOptionsOf(const RingLogSinkOptions& options) const;

  const std::unique_ptr<Ring> ring_;
  const Callbacks callbacks_;
  std::unique_ptr<Flusher> flusher_;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_LOG_PIPELINE_H_
