#include "ringlog/logsink/install.h"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/logsink/internal/log_pipeline.h"
#include "ringlog/logsink/internal/resolved_options.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/os/background_thread.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// How long the end of the process waits for the recovery of leftovers.
constexpr absl::Duration kRecoveryTimeout = absl::Seconds(1);

// Made once, never destroyed: threads may log until the process has ended.
struct Installation {
  RingLogSink* sink = nullptr;
  // Of the process that recovers. A child does not even look at the
  // notification: its mutex may be held by a thread that is not there.
  uint32_t fork_generation = 0;
  absl::Notification recovered;

  bool WaitForRecovery(absl::Duration timeout) const {
    return fork_generation != ForkGeneration::Now() ||
           recovered.WaitForNotificationWithTimeout(timeout);
  }
};

std::atomic<Installation*> g_installation{nullptr};

}  // namespace

// What a sink lets nobody else do: it is what FailureWriter() writes into, and
// its limits begin when the leftovers have been recovered, for they count, and
// take less room then.
class Installer {
 public:
  static absl::StatusOr<std::unique_ptr<RingLogSink>> Create(
      const RingLogSinkOptions& options, LogPipeline::Storage storage) {
    return RingLogSink::CreateWith(options, storage, /*limits_wait=*/true);
  }
  static void BecomeFailureTarget(RingLogSink* sink) {
    sink->BecomeFailureTarget();
  }
  static void RecoveryIsDone(Installation* installation) {
    installation->sink->StartLimits();
    installation->recovered.Notify();
  }
};

namespace {

// Of the rings that belong to `options.directory`, those there and elsewhere.
void RecoverInto(const RingLogSinkOptions& options,
                 std::vector<absl::Status>* errors) {
  const SegmentWriterOptions segment = ToFlusherOptions(options).segment;
  std::vector<std::string> ring_directories = {options.directory};
  if (options.ring_directory != options.directory) {
    ring_directories.push_back(options.ring_directory);
  }
  for (const std::string& directory : ring_directories) {
    const LeftoverSweep sweep =
        RecoverLeftovers(directory, options.directory, segment);
    errors->insert(errors->end(), sweep.errors.begin(), sweep.errors.end());
  }
}

void Recover(const RingLogSinkOptions& options, Installation* installation) {
  std::vector<absl::Status> errors;
  RecoverInto(options, &errors);
  if (!options.fallback_directory.empty()) {
    RecoverInto(FallbackOptions(options), &errors);
  }
  ComplainOfLeftovers(errors);
  Installer::RecoveryIsDone(installation);
}

void RecoverInBackground(const RingLogSinkOptions& options,
                         Installation* installation) {
  const absl::StatusOr<pthread_t> thread = StartBackgroundThread(
      "ringlog-recover",
      [options, installation] { Recover(options, installation); });
  if (!thread.ok()) {
    WarnRateLimited(absl::StrCat(thread.status().message(),
                                 "; what a process that died has left stays"));
    Installer::RecoveryIsDone(installation);
    return;
  }
  // The end of the process need not wait: what it cuts short others do again.
  pthread_detach(*thread);
}

// Runs after main() has returned and the destructors of static objects have
// run, which may all have logged.
__attribute__((destructor)) void CloseAtExit() {
  Installation* const installation = g_installation.load();
  // Still registered, if the program has not removed it: threads may log.
  if (installation == nullptr) return;
  // Or a program that never lives long would leave all to others.
  installation->WaitForRecovery(kRecoveryTimeout);
  if (absl::Status s = installation->sink->Close(); !s.ok()) {
    WarnRateLimited(absl::StrCat(
        s.message(),
        installation->sink->ring_path().empty() ? "" : "; the ring stays"));
  }
}

}  // namespace

absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options) {
  static std::atomic<bool> called{false};
  const absl::StatusOr<RingLogSinkOptions> resolved = CheckAndResolve(options);
  if (!resolved.ok()) return resolved.status();
  if (called.exchange(true)) {
    return absl::FailedPreconditionError(
        "ringlog::Install() has been called before in this process");
  }
  absl::StatusOr<std::unique_ptr<RingLogSink>> sink =
      Installer::Create(*resolved, LogPipeline::Storage::kFile);
  if (!sink.ok()) {
    WarnRateLimited(
        absl::StrCat(sink.status().message(),
                     "; records are kept in memory, and do not survive "
                     "the process before they are in a segment"));
    sink = Installer::Create(*resolved, LogPipeline::Storage::kMemory);
    if (!sink.ok()) {
      called.store(false);
      return sink.status();
    }
  }
  auto* const installation = new Installation;
  installation->sink = sink->release();
  installation->fork_generation = ForkGeneration::Now();
  Installer::BecomeFailureTarget(installation->sink);
  // First: a child that is forked in between closes what it logs.
  g_installation.store(installation);
  absl::AddLogSink(installation->sink);
  RecoverInBackground(*resolved, installation);
  return installation->sink;
}

bool WaitForRecovery(absl::Duration timeout) {
  Installation* const installation = g_installation.load();
  return installation == nullptr || installation->WaitForRecovery(timeout);
}

}  // namespace ringlog
