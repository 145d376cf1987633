#include "ringlog/compress/recovery/background_recovery.h"

#include <pthread.h>

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/ring/os/background_thread.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_safe_mutex.h"
#include "ringlog/ring/os/memory_limit.h"
#include "ringlog/ring/os/recent_failures.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {

struct BackgroundRecovery::State {
  explicit State(const Options& options)
      : directories(options.directories),
        interval(options.interval),
        starts_at_once(options.first_round == FirstRound::kAtOnce),
        segment(options.segment) {
    progress.is_running = starts_at_once;
    if (starts_at_once) started_at = -absl::InfiniteDuration();
  }

  // Returns true if a round is due at `now`; the caller must start it.
  bool BeginRound(absl::Duration now) ABSL_LOCKS_EXCLUDED(mutex);
  void RunRound(absl::Duration now) ABSL_LOCKS_EXCLUDED(mutex);
  // Adds to `*recovered_files`, and each new error to `unreported`. Throws
  // std::bad_alloc without memory.
  void RecoverAll(absl::Duration now, uint64_t* recovered_files);
  void ReportErrors();
  void EndRound(uint64_t recovered_files) ABSL_LOCKS_EXCLUDED(mutex);

  void RecoverFiles(const std::string& ring_directory,
                    const std::string& segment_directory, absl::Duration now,
                    uint64_t* recovered_files);
  void AddForeign(const std::string& directory, const Leftovers& leftovers);

  const std::vector<Directories> directories;
  const absl::Duration interval;
  const bool starts_at_once;

  ForkSafeMutex mutex;
  SegmentWriterOptions segment ABSL_GUARDED_BY(mutex);
  Progress progress ABSL_GUARDED_BY(mutex);
  bool has_thread ABSL_GUARDED_BY(mutex) = false;
  // Monotonic start of the last round.
  std::optional<absl::Duration> started_at ABSL_GUARDED_BY(mutex);
  bool no_thread_was_reported ABSL_GUARDED_BY(mutex) = false;

  // Used only by the thread of the running round.
  SegmentWriterOptions round_segment;
  RecentFailures failures;
  // Errors that `failures` and `reported_foreign` have, so that no later round
  // adds them again. They stay until they are reported: a lack of memory or
  // another warning can prevent that.
  LeftoverErrors unreported;
  // Paths of segment directories whose foreign rings were reported.
  std::set<std::string> reported_foreign;
};

bool BackgroundRecovery::State::BeginRound(absl::Duration now) {
  ForkSafeMutexLock lock(&mutex);
  if (has_thread) return false;
  if (!started_at.has_value()) started_at = now;
  if (now - *started_at < interval) return false;
  started_at = now;
  has_thread = true;
  progress.is_running = true;
  round_segment = segment;
  return true;
}

void BackgroundRecovery::State::EndRound(uint64_t recovered_files) {
  ForkSafeMutexLock lock(&mutex);
  has_thread = false;
  progress.is_running = false;
  ++progress.ended_rounds;
  progress.recovered_files += recovered_files;
}

void BackgroundRecovery::State::RunRound(absl::Duration now) {
  uint64_t recovered_files = 0;
  const bool fits = FitsInMemory([&] { RecoverAll(now, &recovered_files); });
  FitsInMemory([this] { ReportErrors(); });
  if (!fits) {
    FitsInMemory([] {
      WarnRateLimited(
          "cannot recover leftover rings: no memory; the files stay");
    });
  }
  EndRound(recovered_files);
}

void BackgroundRecovery::State::RecoverAll(absl::Duration now,
                                           uint64_t* recovered_files) {
  failures.RemoveDeleted();
  for (const Directories& pair : directories) {
    RecoverFiles(pair.segments, pair.segments, now, recovered_files);
    if (pair.rings != pair.segments) {
      RecoverFiles(pair.rings, pair.segments, now, recovered_files);
    }
  }
}

void BackgroundRecovery::State::ReportErrors() {
  if (unreported.Warn()) unreported = LeftoverErrors();
}

void BackgroundRecovery::State::RecoverFiles(
    const std::string& ring_directory, const std::string& segment_directory,
    absl::Duration now, uint64_t* recovered_files) {
  const absl::StatusOr<Leftovers> leftovers =
      FindLeftovers(ring_directory, segment_directory);
  if (!leftovers.ok()) {
    if (failures.Add(ring_directory, now)) unreported.Add(leftovers.status());
    return;
  }
  failures.Remove(ring_directory);
  for (const std::string& path : leftovers->paths) {
    if (failures.IsRecent(path, now)) continue;
    const absl::Status status =
        RecoverLeftover(path, segment_directory, round_segment).status();
    if (status.ok()) {
      ++*recovered_files;
    } else if (!absl::IsFailedPrecondition(status) && !FileIsGone(path) &&
               failures.Add(path, now)) {
      unreported.Add(status);
    }
  }
  if (ring_directory == segment_directory) {
    AddForeign(ring_directory, *leftovers);
  }
}

// Foreign rings are reported once, until there is none.
void BackgroundRecovery::State::AddForeign(const std::string& directory,
                                           const Leftovers& leftovers) {
  if (leftovers.foreign_count == 0) {
    reported_foreign.erase(directory);
  } else if (reported_foreign.insert(directory).second) {
    unreported.Add(leftovers.first_foreign, leftovers.foreign_count);
  }
}

BackgroundRecovery::BackgroundRecovery(const Options& options)
    : state_(std::make_shared<State>(options)) {}

void BackgroundRecovery::StartRoundIfDue(absl::Duration now) {
  if (!state_->BeginRound(now)) return;
  const absl::StatusOr<pthread_t> thread = StartBackgroundThread(
      "ringlog-recover", [state = state_, now] { state->RunRound(now); });
  bool is_news = false;
  {
    ForkSafeMutexLock lock(&state_->mutex);
    is_news = !thread.ok() && !state_->no_thread_was_reported;
    state_->no_thread_was_reported = !thread.ok();
  }
  if (thread.ok()) {
    // No thread waits for its end: another process repeats what the end of this
    // one interrupts.
    pthread_detach(*thread);
    return;
  }
  state_->EndRound(/*recovered_files=*/0);
  if (is_news) {
    WarnRateLimited(absl::StrCat(thread.status().message(),
                                 "; leftover rings are not recovered yet"));
  }
}

bool BackgroundRecovery::AwaitFirstRound(absl::Duration timeout) const {
  if (!state_->starts_at_once) return true;
  ForkSafeMutexLock lock(&state_->mutex);
  const auto has_ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(state_->mutex) {
    return state_->progress.ended_rounds > 0;
  };
  return state_->mutex.AwaitWithTimeout(has_ended, timeout);
}

BackgroundRecovery::Progress BackgroundRecovery::progress() const {
  ForkSafeMutexLock lock(&state_->mutex);
  return state_->progress;
}

void BackgroundRecovery::Reconfigure(const SegmentWriterOptions& segment) {
  ForkSafeMutexLock lock(&state_->mutex);
  state_->segment = segment;
}

}  // namespace ringlog
