#include "ringlog/logsink/internal/failover_log.h"

#include <sys/stat.h>

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
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// Longest time between two attempts to create the first pipeline. Each attempt
// allocates a complete ring on a disk that may be almost full.
constexpr absl::Duration kMaxRetryInterval = absl::Minutes(1);

// Time between two rounds of recovery.
constexpr absl::Duration kRecoveryInterval = absl::Minutes(1);

// The recovery of both directories, whether the fallback is in use or not.
// There is only a first round if the ring is in memory: then the directories
// were not usable at the start.
BackgroundRecovery::Options RecoveryOptions(
    const RingLogSinkOptions& options, RingStorage storage,
    BackgroundRecovery::FirstRound first_round) {
  BackgroundRecovery::Options recovery;
  recovery.directories.push_back({options.directory, options.ring_directory});
  if (!options.fallback_directory.empty()) {
    const RingLogSinkOptions fallback = FallbackOptions(options);
    recovery.directories.push_back(
        {fallback.directory, fallback.ring_directory});
  }
  recovery.first_round = first_round;
  recovery.interval = storage == RingStorage::kFile ? kRecoveryInterval
                                                    : absl::InfiniteDuration();
  recovery.segment = ToFlusherOptions(options).segment;
  return recovery;
}

// Returns false if the ring's file was deleted: its records do not survive the
// process. A file of this name is the ring's, because its id is in the name.
bool HasItsFile(const Ring& ring) {
  struct stat st;
  return ring.path().empty() || stat(ring.path().c_str(), &st) == 0;
}

}  // namespace

FailoverLog::FailoverLog(const RingLogSinkOptions& options, RingStorage storage,
                         BackgroundRecovery::FirstRound first_round)
    : directory_(options.directory),
      fallback_directory_(options.fallback_directory),
      format_(options.format),
      storage_(storage),
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
    WarnRateLimited(absl::StrCat(first.message(), "; records go to ",
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
  for (auto& log : logs_) delete log.load();
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
  std::function<void(const absl::Status&)> on_write;
  if (!fallback_directory_.empty()) {
    on_write = [this, which](const absl::Status& status) {
      which == kFirst ? OnFirstWrite(status) : OnFallbackWrite(status);
    };
  }
  absl::StatusOr<std::unique_ptr<LogPipeline>> log =
      LogPipeline::Create(options, storage_, &recovery_, on_write);
  if (!log.ok() && which == kFallback &&
      options.ring_directory != options.directory) {
    // The ring directory itself may be the cause.
    options.ring_directory = options.directory;
    log = LogPipeline::Create(options, storage_, &recovery_, on_write);
  }
  if (!log.ok()) return log.status();
  LogPipeline* const made = log->release();
  ForkSafeMutexLock lock(&monitor_);
  logs_[which].store(made, std::memory_order_release);
  // The options may have changed meanwhile.
  made->Reconfigure(OptionsOf(which));
  return absl::OkStatus();
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
    WarnRateLimited(absl::StrCat(status.message(), kRecordsStay));
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
      first->ring()->used_slots() != 0 || !HasItsFile(*first->ring())) {
    return;
  }
  if (SwitchTo(kFirst)) {
    WarnRateLimited(
        absl::StrCat(directory_, " can be written again; records go there"));
  }
}

void FailoverLog::OnFallbackWrite(const absl::Status& status) {
  if (!status.ok()) {
    WarnRateLimited(absl::StrCat(status.message(), kRecordsStay));
  }
  if (log(kFirst) != nullptr || is_stopping()) return;
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
  for (const Which which : {kFirst, kFallback}) {
    if (log(which) != nullptr) logs.push_back(log(which));
  }
  if (uses_fallback()) std::reverse(logs.begin(), logs.end());
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
    status.Update(log->flusher()->Rotate(deadline - MonotonicTime()));
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
  for (const Which which : {kFirst, kFallback}) {
    const LogPipeline* const log = this->log(which);
    if (log != nullptr) AddCounters(ReadCounters(*log->ring()), &sum);
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
  // Again if the thread of one flusher has created the other pipeline
  // meanwhile.
  for (size_t stopped = 0; stopped < Logs().size();) {
    std::vector<LogPipeline*> logs = Logs();
    stopped = logs.size();
    // The pipeline with the new records is the last one: if another ring could
    // not be emptied, new records go there before this ring is sealed.
    std::reverse(logs.begin(), logs.end());
    for (LogPipeline* log : logs) {
      status.Update(log->Stop());
      const Ring& ring = *log->ring();
      if (ring.is_sealed() || !ring.outlives_process()) continue;
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
