#include "ringlog/tools/crash_demo/crash_killer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace ringlog {
namespace {

// Maximum time between two records.
constexpr absl::Duration kTimeout = absl::Minutes(1);
// Approximate duration of a rotation and the batch after it.
constexpr absl::Duration kRotation = absl::Milliseconds(1);
// Maximum delay without a rotation. Shorter than the time between two batches.
constexpr absl::Duration kJitter = absl::Milliseconds(3);

}  // namespace

// Watches a directory for new segments.
//
// Thread-compatible.
class CrashKiller::SegmentWatch {
 public:
  static absl::StatusOr<SegmentWatch> Begin(const std::string& directory) {
    SegmentWatch watch;
    watch.fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch.fd_ < 0) {
      return absl::ErrnoToStatus(errno, "cannot create a watch");
    }
    if (inotify_add_watch(watch.fd_, directory.c_str(), IN_CREATE) < 0) {
      return absl::ErrnoToStatus(errno,
                                 absl::StrCat("cannot watch ", directory));
    }
    return watch;
  }

  SegmentWatch(SegmentWatch&& other) noexcept : fd_(other.fd_) {
    other.fd_ = -1;
  }
  SegmentWatch& operator=(SegmentWatch&&) = delete;
  ~SegmentWatch() {
    if (fd_ >= 0) close(fd_);
  }

  // Waits for an event, at most one millisecond.
  void Wait() const {
    pollfd poll_fd = {fd_, POLLIN, 0};
    poll(&poll_fd, 1, /*timeout=*/1);
  }

  // Returns true if a segment has been begun since the last call.
  bool SawSegment() const {
    bool saw = false;
    alignas(inotify_event) char buffer[4096];
    ssize_t size;
    while ((size = read(fd_, buffer, sizeof buffer)) > 0) {
      for (size_t at = 0; at < static_cast<size_t>(size);) {
        inotify_event event;
        std::memcpy(&event, buffer + at, sizeof event);
        const absl::string_view name = buffer + at + sizeof event;
        saw |= absl::EndsWith(name, ".zst");
        at += sizeof event + event.len;
      }
    }
    return saw;
  }

 private:
  SegmentWatch() = default;
  int fd_ = -1;
};

std::string Describe(const KillMoment& moment) {
  return absl::StrCat(moment.at_new_segment ? "at the first new segment " : "",
                      "after ", moment.records, " records");
}

KillMoment CrashKiller::Choose(int kill, int kills) {
  const auto within = [this](double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random_);
  };
  KillMoment moment;
  const double share = within(kill - 1, kill) / kills;
  moment.records = std::clamp<uint64_t>(
      static_cast<uint64_t>(share * static_cast<double>(records_)), 1,
      records_);
  moment.at_new_segment = kill % 3 == 0;
  // Most delays are short, because otherwise no kill would hit the first
  // records of a batch.
  const double jitter = within(0, 1);
  moment.delay = moment.at_new_segment ? kRotation * within(0, 1)
                                       : kJitter * (jitter * jitter * jitter);
  return moment;
}

absl::Status CrashKiller::WaitFor(const KillMoment& moment, pid_t victim,
                                  const SharedCrashCounters& counters,
                                  const SegmentWatch& watch) const {
  uint64_t known = 0;
  absl::Time known_since = absl::Now();
  for (;;) {
    const uint64_t logged = counters.total_acknowledged();
    const bool saw_segment = watch.SawSegment();
    // After the last record, no other segment may be begun.
    if (logged >= moment.records &&
        (!moment.at_new_segment || saw_segment || logged >= records_)) {
      return absl::OkStatus();
    }
    siginfo_t ended = {};
    if (waitid(P_PID, static_cast<id_t>(victim), &ended,
               WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == victim) {
      return absl::AbortedError("the victim ended before the kill");
    }
    if (logged != known) {
      known = logged;
      known_since = absl::Now();
    } else if (absl::Now() - known_since > kTimeout) {
      return absl::DeadlineExceededError(absl::StrCat(
          "the victim logged no record for ", absl::FormatDuration(kTimeout)));
    }
    if (logged >= moment.records) {
      watch.Wait();
    } else {
      absl::SleepFor(absl::Microseconds(20));
    }
  }
}

absl::Status CrashKiller::KillAt(const KillMoment& moment, pid_t victim,
                                 const SharedCrashCounters& counters,
                                 const std::string& directory) const {
  absl::StatusOr<SegmentWatch> watch = SegmentWatch::Begin(directory);
  absl::Status status =
      watch.ok() ? WaitFor(moment, victim, counters, *watch) : watch.status();
  const absl::Time end = absl::Now() + moment.delay;
  // Spins, because a sleep would take longer.
  while (absl::Now() < end) {
  }
  kill(victim, SIGKILL);
  while (waitpid(victim, nullptr, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace ringlog
