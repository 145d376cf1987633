#include "ringlog/logsink/internal/failover_log.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/logsink/internal/crash_report_writer.h"
#include "ringlog/logsink/internal/last_by_time.h"
#include "ringlog/logsink/internal/read_counters.h"
#include "ringlog/logsink/internal/resolved_options.h"
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// Longest time between two attempts to create the first pipeline. Each attempt
// allocates a complete ring on a disk that may be almost full.
constexpr absl::Duration kMaxRetryInterval = absl::Minutes(1);

// Time between two replacements of a ring. Each one costs some memory until the
// process ends, and a foreign process may be the cause.
constexpr absl::Duration kMinReplaceInterval = absl::Minutes(1);

// Time between two rounds of recovery.
constexpr absl::Duration kRecoveryInterval = absl::Minutes(1);

// There is only a first round if the ring is in memory: then the directories
// were not usable at the start.
BackgroundRecovery::Options RecoveryOptions(
    const RingLogSinkOptions& options, RingStorage storage,
    BackgroundRecovery::FirstRound first_round) {
  BackgroundRecovery::Options recovery = ToRecoveryOptions(options);
  recovery.first_round = first_round;
  recovery.interval = storage == RingStorage::kFile ? kRecoveryInterval
                                                    : absl::InfiniteDuration();
  return recovery;
}

// Reports other users who can delete the logs.
void ReportRisks(const RingLogSinkOptions& options) {
  for (const std::string& directory :
       {options.directory, options.ring_directory}) {
    const absl::Status status = CheckOthersCannotDelete(directory);
    // Once for each sink. The limit would suppress it after any other warning.
    if (!status.ok()) WarnDataLoss(status.message());
    if (options.ring_directory == options.directory) break;
  }
}

void WarnOfError(const absl::Status& status) {
  if (status.ok()) return;
  WarnRateLimited(absl::StrCat(status.message(), kRecordsStay));
}

}  // namespace

FailoverLog::FailoverLog(const RingLogSinkOptions& options, RingStorage storage,
                         BackgroundRecovery::FirstRound first_round)
    : directory_(options.directory),
      fallback_directory_(options.fallback_directory),
      format_(options.format),
      storage_(storage),
      // Children would repeat what their parent has reported.
      reports_risks_(first_round == BackgroundRecovery::FirstRound::kAtOnce),
      recovery_(RecoveryOptions(options, storage, first_round)),
      options_(options) {}

absl::StatusOr<std::unique_ptr<FailoverLog>> FailoverLog::Create(
    const RingLogSinkOptions& options, RingStorage storage,
    BackgroundRecovery::FirstRound first_round) {
  std::unique_ptr<FailoverLog> logs(
      new FailoverLog(options, storage, first_round));
  if (const absl::Status first = logs->Make(kFirst); first.ok()) {
    logs->SwitchTo(kFirst);
  } else if (logs->fallback_directory_.empty()) {
    return first;
  } else if (const absl::Status fallback = logs->Make(kFallback);
             fallback.ok()) {
    logs->SwitchTo(kFallback);
    // Without a limit: the recovery may already have reported an error.
    WarnDataLoss(absl::StrCat(first.message(), "; records go to ",
                              options.fallback_directory));
  } else {
    return absl::Status(
        first.code(),
        absl::StrCat(first.message(), "; the fallback: ", fallback.message()));
  }
  logs->recovery_.StartRoundIfDue(MonotonicTime());
  return logs;
}

FailoverLog::~FailoverLog() {
  Stop().IgnoreError();
  for (auto& last : made_) {
    for (Made* made = last.load(); made != nullptr;) {
      delete std::exchange(made, made->replaced);
    }
  }
}

RingLogSinkOptions FailoverLog::OptionsOf(Which which) const {
  return which == kFirst ? options_ : FallbackOptions(options_);
}

absl::Status FailoverLog::Make(Which which) {
  RingLogSinkOptions options;
  {
    ForkSafeMutexLock lock(&monitor_);
    options = OptionsOf(which);
  }
  absl::StatusOr<std::unique_ptr<LogPipeline>> log =
      LogPipeline::Create(options, storage_, &recovery_, CallbacksOf(which));
  if (!log.ok() && which == kFallback &&
      options.ring_directory != options.directory) {
    // The ring directory itself may be the cause.
    options.ring_directory = options.directory;
    log =
        LogPipeline::Create(options, storage_, &recovery_, CallbacksOf(which));
  }
  if (!log.ok()) return log.status();
  if (reports_risks_) ReportRisks(options);
  auto* const made = new Made{*std::move(log), made_[which].load()};
  ForkSafeMutexLock lock(&monitor_);
  made_[which].store(made, std::memory_order_release);
  // The options may have changed meanwhile.
  made->log->Reconfigure(OptionsOf(which));
  return absl::OkStatus();
}

LogPipeline::Callbacks FailoverLog::CallbacksOf(Which which) {
  LogPipeline::Callbacks callbacks;
  if (!fallback_directory_.empty()) {
    callbacks.on_write = [this, which](const absl::Status& status) {
      which == kFirst ? OnFirstWrite(status) : OnFallbackWrite(status);
    };
  }
  callbacks.on_ring_lost = [this, which] { return OnRingLost(which); };
  return callbacks;
}

bool FailoverLog::IsThreadOf(Which which) const {
  const LogPipeline* const log = this->log(which);
  return log != nullptr && log->flusher()->IsOwnThread();
}

absl::StatusOr<std::string> FailoverLog::OnRingLost(Which which) {
  const absl::Duration now = MonotonicTime();
  if (!IsThreadOf(which) || is_stopping()) {
    return absl::CancelledError("the log is being closed");
  }
  const absl::Duration before = replaced_at_[which];
  if (now - before < kMinReplaceInterval) {
    return absl::UnavailableError(
        absl::StrCat("the last one was created less than ",
                     absl::FormatDuration(kMinReplaceInterval), " ago"));
  }
  const Ring* const lost = log(which)->ring();
  replaced_at_[which] = now;
  if (absl::Status s = Make(which); !s.ok()) {
    replaced_at_[which] = before;
    return s;
  }
  // From here on, another thread is the one of log(which).
  if (ring() == lost && !SwitchTo(which)) {
    return absl::CancelledError("the log is being closed");
  }
  return log(which)->ring()->path();
}

bool FailoverLog::SwitchTo(Which which) {
  ForkSafeMutexLock lock(&monitor_);
  return !stopping_ && SwitchToRing(log(which)->ring());
}

bool FailoverLog::SwitchToRing(Ring* ring) {
  const Ring* const before = ring_.exchange(ring, std::memory_order_acq_rel);
  if (before == ring) return false;
  // A crash report that has begun stays in its ring.
  if (before != nullptr && before->crash_area().empty()) {
    ReplaceCrashArea(&before->crash_area(), &ring->crash_area());
  }
  return true;
}

LogPipeline* FailoverLog::OwnOfThisThread() const {
  for (LogPipeline* log : Logs()) {
    if (log->flusher() != nullptr && log->flusher()->IsOwnThread()) return log;
  }
  return nullptr;
}

bool FailoverLog::is_stopping() {
  ForkSafeMutexLock lock(&monitor_);
  return stopping_;
}

bool FailoverLog::uses_fallback() const {
  const LogPipeline* const fallback = log(kFallback);
  return fallback != nullptr && fallback->ring() == ring();
}

void FailoverLog::OnFirstWrite(const absl::Status& status) {
  if (!IsThreadOf(kFirst)) {
    // The pipeline was replaced, or is not known yet.
    WarnOfError(status);
    return;
  }
  if (status.ok()) {
    if (errors_ > 0 && errors_ < kErrorsToSwitch) {
      WarnRateLimited(
          absl::StrCat(last_error_.message(), "; a later attempt succeeded"));
    }
    errors_ = 0;
    ReturnIfAllIsWritten();
    return;
  }
  last_error_ = status;
  const bool stopping = is_stopping();
  if (++errors_ < kErrorsToSwitch && !stopping) return;
  if (stopping || uses_fallback()) {
    WarnOfError(status);
    return;
  }
  if (log(kFallback) == nullptr) {
    if (absl::Status s = Make(kFallback); !s.ok()) {
      WarnRateLimited(absl::StrCat(
          status.message(), "; the fallback: ", s.message(), kRecordsStay));
      return;
    }
  }
  if (!SwitchTo(kFallback)) return;
  WarnRateLimited(absl::StrCat(status.message(), "; new records go to ",
                               fallback_directory_, " until ", directory_,
                               " can be written again"));
}

// Switches back to the first pipeline when it has written all its records. That
// keeps the order of the records, and proves that `directory` is writable.
void FailoverLog::ReturnIfAllIsWritten() {
  const LogPipeline* const first = log(kFirst);
  if (first == nullptr || !uses_fallback() || is_stopping() ||
      first->ring()->used_slots() != 0 || first->ring()->is_lost()) {
    return;
  }
  if (SwitchTo(kFirst)) {
    WarnRateLimited(
        absl::StrCat(directory_, " can be written again; records go there"));
  }
}

void FailoverLog::OnFallbackWrite(const absl::Status& status) {
  WarnOfError(status);
  if (!IsThreadOf(kFallback) || log(kFirst) != nullptr || is_stopping()) return;
  const absl::Duration now = MonotonicTime();
  if (now - tried_at_ < retry_interval_) return;
  tried_at_ = now;
  retry_interval_ = std::min(2 * retry_interval_, kMaxRetryInterval);
  if (!Make(kFirst).ok()) return;
  // The flusher of the first pipeline may have switched already.
  if (SwitchTo(kFirst)) {
    WarnRateLimited(
        absl::StrCat(directory_, " can be used now; records go there"));
  }
}

std::vector<LogPipeline*> FailoverLog::Logs() const {
  std::vector<LogPipeline*> logs;
  std::vector<LogPipeline*> replaced;
  for (const auto& last : made_) {
    const Made* made = last.load(std::memory_order_acquire);
    if (made == nullptr) continue;
    logs.push_back(made->log.get());
    while ((made = made->replaced) != nullptr) {
      replaced.push_back(made->log.get());
    }
  }
  if (uses_fallback()) std::reverse(logs.begin(), logs.end());
  logs.insert(logs.end(), replaced.begin(), replaced.end());
  return logs;
}

void FailoverLog::Flush(absl::Duration timeout) {
  const absl::Duration deadline = MonotonicTime() + timeout;
  for (const LogPipeline* log : Logs()) {
    if (log->flusher() == nullptr) continue;
    log->flusher()->Flush(deadline - MonotonicTime());
  }
}

absl::Status FailoverLog::Rotate(absl::Duration timeout) {
  // A flusher cannot wait for itself, and two flushers must not wait for each
  // other.
  if (const LogPipeline* const own = OwnOfThisThread(); own != nullptr) {
    return own->flusher()->Rotate(timeout);
  }
  const absl::Duration deadline = MonotonicTime() + timeout;
  absl::Status status;
  for (const LogPipeline* log : Logs()) {
    if (log->flusher() == nullptr) {
      return absl::FailedPreconditionError(
          "rotate: there are no segments with kOverwriteOldest");
    }
    const absl::Status rotated =
        log->flusher()->Rotate(deadline - MonotonicTime());
    // The flusher of a replaced pipeline ends, and closes its segment.
    if (log->ring()->has_successor() && absl::IsFailedPrecondition(rotated)) {
      continue;
    }
    status.Update(rotated);
  }
  return status;
}

std::vector<std::string> FailoverLog::Recent(size_t count) const {
  std::vector<std::vector<std::string>> recent;
  for (const LogPipeline* log : Logs()) {
    if (log->flusher() != nullptr) {
      recent.push_back(log->flusher()->Recent(count));
    }
  }
  return LastByTime(format_, std::move(recent), count);
}

RingLogSinkCounters FailoverLog::counters() const {
  RingLogSinkCounters sum;
  for (const LogPipeline* log : Logs()) {
    const Ring& ring = *log->ring();
    RingLogSinkCounters counters = ReadCounters(ring);
    if (ring.has_successor() && ring.is_sealed()) {
      // It has no slots any more.
      counters.ring_slots = counters.used_slots = 0;
    }
    AddCounters(counters, &sum);
  }
  return sum;
}

void FailoverLog::Reconfigure(const RingLogSinkOptions& options) {
  ForkSafeMutexLock lock(&monitor_);
  options_ = options;
  recovery_.Reconfigure(ToFlusherOptions(options).segment);
  for (const Which which : {kFirst, kFallback}) {
    LogPipeline* const log = this->log(which);
    if (log != nullptr) log->Reconfigure(OptionsOf(which));
  }
}

absl::Status FailoverLog::Stop() {
  if (LogPipeline* const own = OwnOfThisThread(); own != nullptr) {
    return own->Stop();
  }
  {
    ForkSafeMutexLock lock(&monitor_);
    stopping_ = true;
  }
  absl::Status status;
  // Again if the thread of one flusher has created another pipeline meanwhile.
  for (size_t stopped = 0; stopped < Logs().size();) {
    std::vector<LogPipeline*> logs = Logs();
    stopped = logs.size();
    // The pipeline with the new records is the last one: if another ring could
    // not be emptied, new records go there before this ring is sealed.
    std::reverse(logs.begin(), logs.end());
    for (LogPipeline* log : logs) {
      status.Update(log->Stop());
      const Ring& ring = *log->ring();
      if (ring.is_sealed() || ring.has_successor() ||
          !ring.outlives_process()) {
        continue;
      }
      ForkSafeMutexLock lock(&monitor_);
      SwitchToRing(log->ring());
    }
  }
  return status;
}

absl::Status FailoverLog::DeleteFiles() {
  if (OwnOfThisThread() != nullptr) return absl::OkStatus();
  absl::Status status;
  for (LogPipeline* log : Logs()) {
    if (log->Stop().ok()) status.Update(log->DeleteFile());
  }
  return status;
}

}  // namespace ringlog
