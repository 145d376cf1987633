// ProcessLog
//
// What one process logs into: a ring, and the flusher that empties it. What it
// is not: it does not know Abseil's records, nor that processes fork.

#ifndef RINGLOG_LOGSINK_PROCESS_LOG_H_
#define RINGLOG_LOGSINK_PROCESS_LOG_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/flusher.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/fork_generation.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Thread-safe. A forked child has its parent's in its memory, and may not use
// it, nor destroy it: threads that it does not have may be in the middle of it.
class ProcessLog {
 public:
  enum class Storage { kFile, kMemory };
  // `options` are Resolved(). Errors are those of RingLogSink::Create().
  // With `limits_wait` retention begins at Flusher::StartLimits().
  static absl::StatusOr<std::unique_ptr<ProcessLog>> Create(
      const RingLogSinkOptions& options, Storage storage, bool limits_wait);

  // Stop(), and DeleteFile() if that is OK.
  ~ProcessLog();
  ProcessLog(const ProcessLog&) = delete;
  ProcessLog& operator=(const ProcessLog&) = delete;

  // False in a forked child of the process that made it.
  bool is_of_this_process() const {
    return fork_generation_ == ForkGeneration::Now();
  }
  Ring* ring() const { return ring_.get(); }
  // None with OverflowPolicy::kOverwriteOldest.
  Flusher* flusher() const { return flusher_.get(); }

  // Moves what the ring holds into segments and seals it; see Flusher::Stop().
  // Without a flusher the ring stays as it is, for the next start.
  absl::Status Stop();

  // Deletes the ring's file; not one with a crash report, nor one without a
  // flusher. Requires: Stop() has returned OK.
  absl::Status DeleteFile();

 private:
  explicit ProcessLog(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) {}

  const uint32_t fork_generation_ = ForkGeneration::Now();
  const std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_PROCESS_LOG_H_
