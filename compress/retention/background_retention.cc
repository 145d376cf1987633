#include "ringlog/compress/retention/background_retention.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/background_thread.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/os/memory_limit.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);
constexpr absl::Duration kSoon = absl::Seconds(1);
// Time from the end of listing to the end of a run, which is due again then, so
// that rounds of recovery and new limits need not wait for it.
constexpr absl::Duration kMaxRunTime = absl::Seconds(1);
// Time after which a run is taken for one that does not end.
constexpr absl::Duration kMaxWaitOfRecovery = absl::Seconds(10);

}  // namespace

struct BackgroundRetention::State {
  explicit State(const LogDirectories& directories) : runner(directories) {}

  void Run(const RetentionPolicy& policy) ABSL_LOCKS_EXCLUDED(mutex);
  // Returns false if the run ends early. Throws std::bad_alloc without memory.
  bool RunLimited(const RetentionPolicy& policy);
  // Returns true if the thread of the run reports deleted rings when it ends,
  // because it is still running. Otherwise the caller must report them.
  bool LeaveReport() ABSL_LOCKS_EXCLUDED(mutex);

  ForkSafeMutex mutex;
  bool is_running ABSL_GUARDED_BY(mutex) = false;
  // Whether the last run ended early.
  bool has_more ABSL_GUARDED_BY(mutex) = false;
  // Whether LeaveReport() has returned true.
  bool run_reports ABSL_GUARDED_BY(mutex) = false;

  // Used by the thread of the running run alone, but for its counters.
  RetentionRunner runner;
  std::atomic<bool> is_ended{false};  // the log; no file is deleted any more
};

bool BackgroundRetention::State::RunLimited(const RetentionPolicy& policy) {
  // The limit begins when the names have been read, which other users can
  // prolong: otherwise a run would do one step.
  absl::Duration end = absl::InfiniteDuration();
  return runner.Run(policy, [this, &end] {
    if (is_ended) return true;
    const absl::Duration now = MonotonicTime();
    if (end == absl::InfiniteDuration()) end = now + kMaxRunTime;
    return now >= end;
  });
}

void BackgroundRetention::State::Run(const RetentionPolicy& policy) {
  // Without memory, the next run is due after the usual interval.
  bool is_done = true;
  if (!FitsInMemory([&] { is_done = RunLimited(policy); })) {
    FitsInMemory([] {
      WarnRateLimited("cannot enforce the retention limits: no memory");
    });
  }
  bool must_report = false;
  {
    ForkSafeMutexLock lock(&mutex);
    has_more = !is_done;
    is_running = false;
    must_report = run_reports;
  }
  // No other thread uses the runner now, because one that sees run_reports
  // leaves the report to this one, and a new run begins after this thread has
  // been joined.
  if (must_report) FitsInMemory([this] { runner.ReportDeletedRings(); });
}

bool BackgroundRetention::State::LeaveReport() {
  ForkSafeMutexLock lock(&mutex);
  run_reports |= is_running;
  return run_reports;
}

BackgroundRetention::BackgroundRetention(const RetentionPolicy& policy,
                                         const LogDirectories& directories,
                                         const BackgroundRecovery* recovery)
    : state_(std::make_shared<State>(directories)),
      policy_(policy),
      recovery_(recovery) {}

BackgroundRetention::~BackgroundRetention() {
  if (!thread_.has_value()) return;
  End(absl::ZeroDuration());
  if (thread_.has_value()) pthread_detach(*thread_);
}

// Ends the run in progress after the file that it is at, waits for that, and
// reports deleted rings; after `timeout`, the thread of the run does so.
void BackgroundRetention::End(absl::Duration timeout) {
  state_->is_ended = true;
  if (!AwaitRun(timeout) && state_->LeaveReport()) return;
  FitsInMemory([this] { state_->runner.ReportDeletedRings(); });
}

void BackgroundRetention::Reconfigure(const RetentionPolicy& policy) {
  policy_ = policy;
  SetDue();
}

void BackgroundRetention::SetDueSoon() {
  if (MonotonicTime() - began_at_ >= kSoon) is_due_ = true;
}

bool BackgroundRetention::AwaitRun(absl::Duration timeout) {
  if (!thread_.has_value()) return true;
  {
    ForkSafeMutexLock lock(&state_->mutex);
    const auto has_ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(state_->mutex) {
      return !state_->is_running;
    };
    if (!state_->mutex.AwaitWithTimeout(has_ended, timeout)) return false;
    is_due_ |= std::exchange(state_->has_more, false);
  }
  // The thread has nothing left to do.
  pthread_join(*thread_, nullptr);
  thread_.reset();
  return true;
}

bool BackgroundRetention::MayRecover() const {
  if (!thread_.has_value()) return true;
  ForkSafeMutexLock lock(&state_->mutex);
  return !state_->is_running ||
         MonotonicTime() - began_at_ >= kMaxWaitOfRecovery;
}

// See the table at the beginning of the header.
bool BackgroundRetention::AwaitsRecovery(bool is_ending) {
  if (recovery_ == nullptr) return false;
  const BackgroundRecovery::Progress progress = recovery_->progress();
  if (progress.recovered_files != recovery_seen_.recovered_files) SetDue();
  const bool has_run = began_at_ != -absl::InfiniteDuration();
  const bool round_has_ended =
      progress.ended_rounds != recovery_seen_.ended_rounds;
  recovery_seen_ = progress;
  return progress.is_running && !round_has_ended && !(is_ending && has_run);
}

void BackgroundRetention::RunIfDue(bool is_ending) {
  if (!policy_.limits.has_limit() || !AwaitRun(absl::ZeroDuration()) ||
      AwaitsRecovery(is_ending)) {
    return;
  }
  const absl::Duration now = MonotonicTime();
  if (!is_due_ && now - began_at_ < kInterval) return;
  if (no_thread_was_reported_ && now - began_at_ < kSoon) return;
  is_due_ = false;
  began_at_ = now;
  StartRun();
}

void BackgroundRetention::StartRun() {
  {
    ForkSafeMutexLock lock(&state_->mutex);
    state_->is_running = true;
  }
  const absl::StatusOr<pthread_t> thread = StartBackgroundThread(
      "ringlog-retain",
      [state = state_, policy = policy_] { state->Run(policy); });
  if (thread.ok()) {
    thread_ = *thread;
    no_thread_was_reported_ = false;
    return;
  }
  {
    ForkSafeMutexLock lock(&state_->mutex);
    state_->is_running = false;
  }
  is_due_ = true;
  if (std::exchange(no_thread_was_reported_, true)) return;
  WarnRateLimited(absl::StrCat(thread.status().message(),
                               "; retention limits are not enforced yet"));
}

void BackgroundRetention::RunLast() {
  const absl::Duration end = MonotonicTime() + kLastRunTimeout;
  const auto await = [&] {
    return AwaitRun(std::max(absl::ZeroDuration(), end - MonotonicTime()));
  };
  // A run that ended early is due again.
  bool has_ended = await();
  while (has_ended) {
    RunIfDue(/*is_ending=*/true);
    if (!thread_.has_value()) break;
    has_ended = await() && MonotonicTime() < end;
  }
  End(std::max(absl::ZeroDuration(), end - MonotonicTime()));
}

uint64_t BackgroundRetention::deleted_files() const {
  return state_->runner.deleted_files();
}
uint64_t BackgroundRetention::errors() const { return state_->runner.errors(); }

}  // namespace ringlog
