#include "ringlog/compress/recovery/background_recovery.h"

#include <pthread.h>
#include <sys/stat.h>

#include <atomic>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/ring/os/background_thread.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

constexpr absl::Duration kRetryInterval = absl::Minutes(10);

bool Exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

}  // namespace

// What a thread shares with the runner that started it: nothing is changed by
// both, so there is no lock that a forked child could find taken.
struct BackgroundRecovery::Run {
  std::vector<Found> found;
  std::string directory;
  SegmentWriterOptions options;

  // The thread's until it has ended.
  std::vector<std::string> failed;
  bool has_recovered = false;
  std::atomic<bool> has_ended{false};

  void Recover() {
    std::vector<absl::Status> errors;
    for (const Found& left : found) {
      const absl::Status status = RecoverFound(left.path, directory, options);
      if (status.ok()) {
        has_recovered = true;
      } else if (!absl::IsFailedPrecondition(status) && Exists(left.path)) {
        failed.push_back(left.path);
        if (!left.was_told) errors.push_back(status);
      }
    }
    ComplainOfLeftovers(errors);
    has_ended.store(true, std::memory_order_release);
  }
};

bool BackgroundRecovery::RunIfDue(absl::Duration now,
                                  const SegmentWriterOptions& options) {
  if (directories_.rings.empty() || interval_ == absl::InfiniteDuration()) {
    return false;
  }
  if (!looked_at_.has_value()) looked_at_ = now;
  if (run_ != nullptr) {
    if (!run_->has_ended.load(std::memory_order_acquire)) return false;
    for (const std::string& path : run_->failed) failed_at_[path] = now;
    // The caller has something to do between two.
    return std::exchange(run_, nullptr)->has_recovered;
  }
  if (now - *looked_at_ < interval_) return false;
  looked_at_ = now;
  auto run = std::make_shared<Run>();
  run->found = Look(now);
  if (run->found.empty()) return false;
  run->directory = directories_.segments;
  run->options = options;
  Start(std::move(run), now);
  return false;
}

std::vector<BackgroundRecovery::Found> BackgroundRecovery::Look(
    absl::Duration now) {
  for (auto it = failed_at_.begin(); it != failed_at_.end();) {
    it = Exists(it->first) ? std::next(it) : failed_at_.erase(it);
  }
  std::vector<std::string> directories = {directories_.segments};
  if (directories_.rings != directories_.segments) {
    directories.push_back(directories_.rings);
  }
  std::vector<Found> found;
  for (const std::string& directory : directories) {
    for (std::string& path : FindLeftovers(directory, directories_.segments)) {
      const auto failed = failed_at_.find(path);
      const bool was_told = failed != failed_at_.end();
      if (was_told && now - failed->second < kRetryInterval) continue;
      found.push_back({std::move(path), was_told});
    }
  }
  return found;
}

void BackgroundRecovery::Start(std::shared_ptr<Run> run, absl::Duration now) {
  const absl::StatusOr<pthread_t> thread =
      StartBackgroundThread("ringlog-recover", [run] { run->Recover(); });
  if (thread.ok()) {
    pthread_detach(*thread);
    run_ = std::move(run);
    return;
  }
  bool is_news = false;
  for (const Found& left : run->found) {
    is_news |= !left.was_told;
    failed_at_[left.path] = now;
  }
  if (is_news) {
    WarnRateLimited(absl::StrCat(thread.status().message(),
                                 "; what a process that died has left stays"));
  }
}

}  // namespace ringlog
