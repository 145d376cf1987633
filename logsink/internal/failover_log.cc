#include "ringlog/logsink/internal/failover_log.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/logsink/internal/crash_report_writer.h"
#include "ringlog/logsink/internal/read_counters.h"
#include "ringlog/logsink/internal/resolved_options.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// Each attempt asks the disk for a whole ring, which others may need.
constexpr absl::Duration kMaxRetryInterval = absl::Minutes(1);

struct TimedLines {
  int64_t time_ns;
  std::string lines;
};
bool operator<(const TimedLines& a, const TimedLines& b) {
  return a.time_ns < b.time_ns;
}

// The lines keep their order, whatever clocks did: none is before the one that
// it follows.
std::vector<TimedLines> WithTimes(LineFormat format,
                                  std::vector<std::string> all) {
  std::vector<TimedLines> timed;
  int64_t time_ns = 0;
  for (std::string& lines : all) {
    ParsedRecord parsed;
    if (ParseLines(format, lines, &parsed)) {
      time_ns = std::max(time_ns, parsed.record.time_ns);
    }
    timed.push_back({time_ns, std::move(lines)});
  }
  return timed;
}

// Else somebody has deleted it, and what it holds goes with the process. Its
// name has been nobody else's, for the ring's id is in it.
bool HasItsFile(const Ring& ring) {
  struct stat st;
  return ring.path().empty() || stat(ring.path().c_str(), &st) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FailoverLog>> FailoverLog::Create(
    const RingLogSinkOptions& options, LogPipeline::Storage storage,
    bool limits_wait) {
  std::unique_ptr<FailoverLog> logs(
      new FailoverLog(options, storage, limits_wait));
  const absl::Status first = logs->Make(kFirst);
  if (first.ok()) {
    logs->SwitchTo(kFirst);
    return logs;
  }
  if (logs->fallback_directory_.empty()) return first;
  const absl::Status fallback = logs->Make(kFallback);
  if (!fallback.ok()) {
    return absl::Status(
        first.code(),
        absl::StrCat(first.message(), "; the fallback: ", fallback.message()));
  }
  logs->SwitchTo(kFallback);
  WarnRateLimited(absl::StrCat(first.message(), "; records go to ",
                               options.fallback_directory));
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
  bool limits_wait;
  {
    ForkSafeMutexLock lock(&monitor_);
    options = OptionsOf(which);
    limits_wait = limits_wait_;
  }
  std::function<void(const absl::Status&)> on_write;
  if (!fallback_directory_.empty()) {
    on_write = [this, which](const absl::Status& status) {
      which == kFirst ? FirstHasWritten(status) : FallbackHasWritten(status);
    };
  }
  absl::StatusOr<std::unique_ptr<LogPipeline>> log =
      LogPipeline::Create(options, storage_, limits_wait, on_write);
  if (!log.ok() && which == kFallback &&
      options.ring_directory != options.directory) {
    // It may be that which cannot take a ring.
    options.ring_directory = options.directory;
    log = LogPipeline::Create(options, storage_, limits_wait, on_write);
  }
  if (!log.ok()) return log.status();
  LogPipeline* const made = log->release();
  ForkSafeMutexLock lock(&monitor_);
  logs_[which].store(made, std::memory_order_release);
  // What others have asked for meanwhile.
  made->Reconfigure(OptionsOf(which));
  if (limits_wait && !limits_wait_) made->StartLimits();
  return absl::OkStatus();
}

bool FailoverLog::SwitchTo(Which which) {
  ForkSafeMutexLock lock(&monitor_);
  return !stopping_ && SwitchToRing(log(which)->ring());
}

bool FailoverLog::SwitchToRing(Ring* ring) {
  const Ring* const before = ring_.exchange(ring, std::memory_order_acq_rel);
  if (before == ring) return false;
  // A report that has begun goes on where it is.
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

void FailoverLog::FirstHasWritten(const absl::Status& status) {
  if (status.ok()) {
    if (errors_ > 0 && errors_ < kErrorsToSwitch) {
      WarnRateLimited(absl::StrCat(last_error_.message(),
                                   "; it worked when it was tried again"));
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
                               fallback_directory_, " until that is over"));
}

// What was logged before the switch comes first; that it could be written is
// the proof, too.
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

void FailoverLog::FallbackHasWritten(const absl::Status& status) {
  if (!status.ok())
    WarnRateLimited(absl::StrCat(status.message(), kRecordsStay));
  if (log(kFirst) != nullptr || is_stopping()) return;
  const absl::Duration now = MonotonicTime();
  if (now - tried_at_ < retry_interval_) return;
  tried_at_ = now;
  retry_interval_ = std::min(2 * retry_interval_, kMaxRetryInterval);
  if (!Make(kFirst).ok()) return;
  // Its own flusher may have been faster.
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
  // Which cannot wait for itself, nor may two of them for each other.
  if (const LogPipeline* const own = OwnOfThisThread(); own != nullptr) {
    return own->flusher()->Rotate(timeout);
  }
  const absl::Duration deadline = MonotonicTime() + timeout;
  absl::Status status;
  for (const LogPipeline* log : Logs()) {
    if (log->flusher() == nullptr) {
      return absl::FailedPreconditionError(
          "with kOverwriteOldest there are no segments");
    }
    status.Update(log->flusher()->Rotate(deadline - MonotonicTime()));
  }
  return status;
}

std::vector<std::string> FailoverLog::Recent(size_t count) const {
  std::vector<TimedLines> merged;
  const std::vector<LogPipeline*> logs = Logs();
  for (const LogPipeline* log : logs) {
    if (log->flusher() == nullptr) continue;
    std::vector<std::string> recent = log->flusher()->Recent(count);
    if (logs.size() == 1) return recent;
    std::vector<TimedLines> one = WithTimes(format_, std::move(recent));
    const auto middle = static_cast<std::ptrdiff_t>(merged.size());
    merged.insert(merged.end(), std::make_move_iterator(one.begin()),
                  std::make_move_iterator(one.end()));
    std::inplace_merge(merged.begin(), merged.begin() + middle, merged.end());
  }
  std::vector<std::string> lines;
  for (size_t i = merged.size() - std::min(count, merged.size());
       i < merged.size(); ++i) {
    lines.push_back(std::move(merged[i].lines));
  }
  return lines;
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
  for (const Which which : {kFirst, kFallback}) {
    LogPipeline* const log = this->log(which);
    if (log != nullptr) log->Reconfigure(OptionsOf(which));
  }
}

void FailoverLog::StartLimits() {
  ForkSafeMutexLock lock(&monitor_);
  limits_wait_ = false;
  for (LogPipeline* log : Logs()) log->StartLimits();
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
  // Again if the thread of one has made the other meanwhile.
  for (size_t stopped = 0; stopped < Logs().size();) {
    std::vector<LogPipeline*> logs = Logs();
    stopped = logs.size();
    // That with the new records is the last: before it takes no more of them
    // they have another one, if that could not be emptied.
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
