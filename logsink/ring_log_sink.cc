#include "ringlog/logsink/ring_log_sink.h"

#include <pthread.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/logsink/internal/crash_report_writer.h"
#include "ringlog/logsink/internal/entry_encoder.h"
#include "ringlog/logsink/internal/failover_log.h"
#include "ringlog/logsink/internal/log_pipeline.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/logsink/internal/resolved_options.h"
#include "ringlog/ring/os/fork_generation.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::Duration kFlushTimeout = absl::Seconds(1);
constexpr absl::Duration kRotateTimeout = absl::Seconds(10);

Severity ToSeverity(absl::LogSeverity severity) {
  return static_cast<Severity>(absl::NormalizeLogSeverity(severity));
}

// In debug builds, Abseil looks for deadlocks at each lock of a mutex, under a
// lock of its own. If another thread has that lock during fork(2), nothing
// unlocks it in the child, whose first LOG() would wait forever.
void IgnoreDeadlocks() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

[[maybe_unused]] const bool kChildrenIgnoreDeadlocks =
    pthread_atfork(nullptr, nullptr, &IgnoreDeadlocks) == 0;

// Keeps the log of the parent until the end of the process. It cannot be
// destroyed, because threads of the parent may have been using it. The list
// keeps leak checkers quiet.
void Keep(FailoverLog* inherited) {
  struct Kept {
    FailoverLog* logs;
    Kept* next;
  };
  static std::atomic<Kept*> all{nullptr};
  auto* const kept = new Kept{inherited, all.load()};
  while (!all.compare_exchange_weak(kept->next, kept)) {
  }
}

}  // namespace

// While an OptionsUse lives, no options that it can load are freed. All
// accesses are sequentially consistent: if Reconfigure() sees that its
// OptionsUse is the only one, an OptionsUse that begins later loads the new
// options.
class RingLogSink::OptionsUse {
 public:
  explicit OptionsUse(RingLogSink* sink) : sink_(sink) {
    sink_->options_uses_.fetch_add(1);
  }
  ~OptionsUse() { sink_->options_uses_.fetch_sub(1); }
  OptionsUse(const OptionsUse&) = delete;
  OptionsUse& operator=(const OptionsUse&) = delete;

  const Options* now() const { return sink_->options_.load(); }
  bool is_alone() const { return sink_->options_uses_.load() == 1; }

 private:
  RingLogSink* const sink_;
};

// Deletes a list of options. Not recursive, as a list of unique_ptr would be.
void RingLogSink::Delete(const Options* options) {
  while (options != nullptr) delete std::exchange(options, options->replaced);
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::Create(
    const RingLogSinkOptions& options) {
  return CheckAndCreate(options, RingStorage::kFile);
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::CreateInMemory(
    const RingLogSinkOptions& options) {
  return CheckAndCreate(options, RingStorage::kMemory);
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::CheckAndCreate(
    const RingLogSinkOptions& options, RingStorage storage) {
  const absl::StatusOr<RingLogSinkOptions> resolved = CheckAndResolve(options);
  if (!resolved.ok()) return resolved.status();
  return CreateWith(*resolved, storage);
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::CreateWith(
    const RingLogSinkOptions& options, RingStorage storage) {
  absl::StatusOr<std::unique_ptr<FailoverLog>> logs = FailoverLog::Create(
      options, storage, BackgroundRecovery::FirstRound::kAtOnce);
  if (!logs.ok()) return logs.status();
  return std::unique_ptr<RingLogSink>(
      new RingLogSink(options, storage, *std::move(logs)));
}

RingLogSink::RingLogSink(const RingLogSinkOptions& options, RingStorage storage,
                         std::unique_ptr<FailoverLog> logs)
    : options_(new Options{options, nullptr}),
      min_severity_(static_cast<int>(options.min_severity)),
      structured_(HasExtension(options) && options.structured),
      context_(HasExtension(options) ? options.context : nullptr),
      storage_(storage),
      head_bytes_(logs->ring()->header().head_bytes),
      logs_(logs.release()),
      replaced_in_(ForkGeneration::Now()),
      failed_in_(ForkGeneration::Now()) {}

RingLogSink::~RingLogSink() {
  Delete(options_.load());
  FailoverLog* const logs = logs_.load();
  if (logs->is_of_this_process()) {
    delete logs;
  } else {
    Keep(logs);
  }
}

FailoverLog* RingLogSink::Own() const {
  // Acquire: pairs with ReplaceInherited() in another thread.
  FailoverLog* const logs = logs_.load(std::memory_order_acquire);
  return logs->is_of_this_process() ? logs : nullptr;
}

FailoverLog* RingLogSink::OwnOrNew() {
  FailoverLog* const logs = Own();
  return logs != nullptr ? logs : OwnAfterFork();
}

// Creates the log of a forked child, or waits until another thread of the child
// has created it. Uses nothing that a thread of the parent may have held at the
// time of the fork: no mutex, and nothing in the log of the parent.
FailoverLog* RingLogSink::OwnAfterFork() {
  const uint32_t now = ForkGeneration::Now();
  uint32_t replaced_in = replaced_in_.load();
  if (replaced_in != now &&
      replaced_in_.compare_exchange_strong(replaced_in, now)) {
    ReplaceInherited();
  }
  while (failed_in_.load() != now) {
    if (FailoverLog* const logs = Own(); logs != nullptr) return logs;
    absl::SleepFor(absl::Microseconds(100));
  }
  return nullptr;
}

void RingLogSink::ReplaceInherited() {
  // Other threads wait for this one, so it must not be cancelled.
  int cancel_state;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  FailoverLog* const inherited = logs_.load();
  const OptionsUse use(this);
  const RingLogSinkOptions& options = use.now()->options;
  // Short-lived children must not begin recoveries, because each would keep
  // other processes from the leftover rings meanwhile.
  constexpr auto kFirstRound = BackgroundRecovery::FirstRound::kAfterInterval;
  absl::StatusOr<std::unique_ptr<FailoverLog>> logs =
      FailoverLog::Create(options, storage_, kFirstRound);
  if (!logs.ok()) {
    const absl::Status status = logs.status();
    logs = FailoverLog::Create(options, RingStorage::kMemory, kFirstRound);
    WarnRateLimited(absl::StrCat(
        "in a forked child: ", status.message(),
        logs.ok() ? "; records are kept in memory, and do not survive the "
                    "process before they are in a segment"
                  : "; its records are lost"));
  }
  if (logs.ok()) {
    FailoverLog* const own = logs->release();
    logs_.store(own, std::memory_order_release);
    // Unconditional: if another thread forks between these two statements, its
    // child comes here too, and the area that the child inherits is not that of
    // its parent.
    if (is_failure_target_.load()) SetCrashArea(&own->ring()->crash_area());
    Keep(inherited);
    // The parent may have been replacing the options, or another thread is.
    ApplyOptions(use);
  } else {
    failed_in_.store(ForkGeneration::Now());
  }
  pthread_setcancelstate(cancel_state, nullptr);
}

void RingLogSink::Send(const absl::LogEntry& entry) {
  Record record;
  record.severity = ToSeverity(entry.log_severity());
  // Relaxed: no other access depends on it.
  if (static_cast<int>(record.severity) <
      min_severity_.load(std::memory_order_relaxed)) {
    return;
  }
  // Relaxed: a record that races with Close() finds the ring sealed.
  if (closed_.load(std::memory_order_relaxed)) {
    if (FailoverLog* const logs = Own(); logs != nullptr) {
      logs->ring()->CountDrop(DropCause::kClosed, record.severity);
    }
    return;
  }
  FailoverLog* const logs = OwnOrNew();
  if (logs == nullptr) return;
  record.time_ns = absl::ToUnixNanos(entry.timestamp());
  record.thread_id = entry.tid();
  record.file = entry.source_filename();
  record.line = entry.source_line();
  record.verbosity = entry.verbosity();
  record.text = entry.text_message();
  std::array<char, kMaxExtensionBytes> extension;
  if (!entry.stacktrace().empty()) {
    record.kind = RecordKind::kStackTrace;
    // A stack trace ends in a line break; a message does not.
    record.text = absl::StripSuffix(entry.stacktrace(), "\n");
  } else if (structured_ || context_ != nullptr) {
    record.extension = EncodeExtension(entry, structured_, context_,
                                       absl::MakeSpan(extension));
  }
  // Encoded before Append() claims slots, so that only code of the ring runs
  // between claim and commit.
  std::array<char, kMaxHeadBytes> head;
  const size_t head_size =
      EncodeRecordHead(record, absl::MakeSpan(head.data(), head_bytes_));
  logs->Append(record.severity, absl::string_view(head.data(), head_size),
               record.text);
}

void RingLogSink::Flush() {
  FailoverLog* const logs = Own();
  if (logs == nullptr || closed_.load(std::memory_order_relaxed)) return;
  logs->Flush(kFlushTimeout);
}

std::vector<std::string> RingLogSink::Recent(size_t count) {
  FailoverLog* const logs = Own();
  if (logs == nullptr) return {};
  Flush();
  return logs->Recent(count);
}

absl::Status RingLogSink::Reconfigure(const RingLogSinkOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  auto* const next = new Options{Resolved(options), nullptr};
  const OptionsUse use(this);
  next->replaced = use.now();
  do {
    if (absl::Status s = CheckChange(next->replaced->options, next->options);
        !s.ok()) {
      delete next;
      return s;
    }
  } while (!options_.compare_exchange_weak(next->replaced, next));
  ApplyOptions(use);
  if (use.is_alone()) Delete(std::exchange(next->replaced, nullptr));
  return absl::OkStatus();
}

// Repeats if another thread has replaced the options meanwhile, because that
// thread may have applied the newer options before this one applied the older.
void RingLogSink::ApplyOptions(const OptionsUse& use) {
  const Options* now;
  do {
    now = use.now();
    min_severity_.store(static_cast<int>(now->options.min_severity),
                        std::memory_order_relaxed);
    FailoverLog* const logs = Own();
    if (logs != nullptr) logs->Reconfigure(now->options);
  } while (use.now() != now);
}

bool RingLogSink::WaitForRecovery(absl::Duration timeout) const {
  const FailoverLog* const logs = Own();
  return logs == nullptr || logs->WaitForRecovery(timeout);
}

void RingLogSink::BecomeFailureTarget() {
  is_failure_target_.store(true);
  SetCrashArea(&ring().crash_area());
}

absl::Status RingLogSink::Rotate() {
  FailoverLog* const logs = Own();
  return logs == nullptr ? absl::OkStatus() : logs->Rotate(kRotateTimeout);
}

absl::Status RingLogSink::Close() {
  // A forked child does not close the log of its parent.
  FailoverLog* const logs = Own();
  absl::Status status = logs == nullptr ? absl::OkStatus() : logs->Stop();
  // A ring that could not be sealed takes more records, which recovery moves
  // into segments. (If the end of the last segment could not be written, the
  // ring may be sealed all the same.)
  closed_.store(status.ok() || logs->ring()->is_sealed() ||
                    !logs->ring()->outlives_process(),
                std::memory_order_relaxed);
  if (logs != nullptr) status.Update(logs->DeleteFiles());
  return status;
}

RingLogSinkCounters RingLogSink::counters() const {
  const FailoverLog* const logs = Own();
  return logs == nullptr ? RingLogSinkCounters() : logs->counters();
}

bool RingLogSink::uses_fallback() const {
  const FailoverLog* const logs = Own();
  return logs != nullptr && logs->uses_fallback();
}

const Ring& RingLogSink::ring() const { return *logs_.load()->ring(); }

const std::string& RingLogSink::ring_path() const { return ring().path(); }

}  // namespace ringlog
