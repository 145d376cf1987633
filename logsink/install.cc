#include "ringlog/logsink/install.h"

#include <atomic>
#include <memory>

#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/logsink/internal/log_pipeline.h"
#include "ringlog/logsink/internal/resolved_options.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// Longest time that the end of the process waits for the recovery of leftovers.
constexpr absl::Duration kRecoveryTimeout = absl::Seconds(1);

// Never destroyed, because threads may log until the process has ended.
std::atomic<RingLogSink*> g_sink{nullptr};

}  // namespace

// The friend of RingLogSink that uses its private functions.
class Installer {
 public:
  static absl::StatusOr<std::unique_ptr<RingLogSink>> Create(
      const RingLogSinkOptions& options, RingStorage storage) {
    return RingLogSink::CreateWith(options, storage);
  }
  static void BecomeFailureTarget(RingLogSink* sink) {
    sink->BecomeFailureTarget();
  }
  static bool WaitForRecovery(const RingLogSink* sink, absl::Duration timeout) {
    return sink == nullptr || sink->WaitForRecovery(timeout);
  }
};

namespace {

// Runs after main() has returned and after the destructors of static objects,
// which may log.
__attribute__((destructor)) void CloseAtExit() {
  RingLogSink* const sink = g_sink.load();
  if (sink == nullptr) return;
  // A program that always ends soon would otherwise never recover its
  // leftovers.
  Installer::WaitForRecovery(sink, kRecoveryTimeout);
  // The sink stays registered, because other threads may still log.
  if (absl::Status s = sink->Close(); !s.ok()) {
    WarnRateLimited(absl::StrCat(
        s.message(), sink->ring_path().empty() ? "" : "; the ring stays"));
  }
}

}  // namespace

absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options) {
  static std::atomic<bool> called{false};
  const absl::StatusOr<RingLogSinkOptions> resolved = CheckAndResolve(options);
  if (!resolved.ok()) return resolved.status();
  if (called.exchange(true)) {
    return absl::FailedPreconditionError(
        "ringlog::Install() was called before in this process");
  }
  absl::StatusOr<std::unique_ptr<RingLogSink>> sink =
      Installer::Create(*resolved, RingStorage::kFile);
  if (!sink.ok()) {
    WarnRateLimited(
        absl::StrCat(sink.status().message(),
                     "; records are kept in memory, and do not survive "
                     "the process before they are in a segment"));
    sink = Installer::Create(*resolved, RingStorage::kMemory);
    if (!sink.ok()) {
      called.store(false);
      return sink.status();
    }
  }
  RingLogSink* const installed = sink->release();
  Installer::BecomeFailureTarget(installed);
  // Before AddLogSink(): a child that is forked in between closes its log.
  g_sink.store(installed);
  absl::AddLogSink(installed);
  return installed;
}

bool WaitForRecovery(absl::Duration timeout) {
  return Installer::WaitForRecovery(g_sink.load(), timeout);
}

}  // namespace ringlog
