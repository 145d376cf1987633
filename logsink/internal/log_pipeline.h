// LogPipeline
//
// What one process logs into: a ring, and the flusher that empties it. What it
// is not: it does not know Abseil's records, nor that processes fork.

#ifndef RINGLOG_LOGSINK_INTERNAL_LOG_PIPELINE_H_
#define RINGLOG_LOGSINK_INTERNAL_LOG_PIPELINE_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Where a ring is: in a file that is mapped into memory, or in memory only.
enum class RingStorage { kFile, kMemory };

// Thread-safe. A forked child has its parent's in its memory, and may not use
// it, nor destroy it: threads that it does not have may be in the middle of it.
class LogPipeline {
 public:
  using Storage = RingStorage;
  // `options` are Resolved(). Errors are those of RingLogSink::Create().
  // `limits_wait` is FlusherOptions::limits_wait, `on_write` is
  // FlusherOptions::on_write.
  static absl::StatusOr<std::unique_ptr<LogPipeline>> Create(
      const RingLogSinkOptions& options, Storage storage, bool limits_wait,
      std::function<void(const absl::Status&)> on_write);

  // Stop(), and DeleteFile() if that is OK.
  ~LogPipeline();
  LogPipeline(const LogPipeline&) = delete;
  LogPipeline& operator=(const LogPipeline&) = delete;

  Ring* ring() const { return ring_.get(); }
  // None with OverflowPolicy::kOverwriteOldest.
  Flusher* flusher() const { return flusher_.get(); }

  // Do nothing without a flusher; see Flusher.
  void Reconfigure(const RingLogSinkOptions& options);
  void StartLimits();

  // Moves what the ring holds into segments and seals it; see Flusher::Stop().
  // Without a flusher the ring stays as it is, for others to recover.
  absl::Status Stop();

  // Deletes the ring's file; not one with a crash report, nor one without a
  // flusher. Requires: Stop() has returned OK.
  absl::Status DeleteFile();

 private:
  LogPipeline(std::unique_ptr<Ring> ring,
              std::function<void(const absl::Status&)> on_write)
      : ring_(std::move(ring)), on_write_(std::move(on_write)) {}

  FlusherOptions FlusherOptionsOf(const RingLogSinkOptions& options) const;

  const std::unique_ptr<Ring> ring_;
  const std::function<void(const absl::Status&)> on_write_;
  std::unique_ptr<Flusher> flusher_;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_LOG_PIPELINE_H_
