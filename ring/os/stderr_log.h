// Warnings of the library itself, on stderr.

#ifndef RINGLOG_RING_OS_STDERR_LOG_H_
#define RINGLOG_RING_OS_STDERR_LOG_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ringlog {

// Writes a line with "ringlog: " and `what` to file descriptor 2. Uses neither
// LOG, which may be the cause of the warning, nor stdio, which may be locked.
//
// Writes at most one line per minute in each process. The next line reports the
// number of suppressed lines.
//
// Never ends the process and never blocks: if a pipe, socket or terminal has no
// room, the line is lost.
//
// Returns false if the line was suppressed.
//
// Context: any thread; not a signal handler.
bool WarnRateLimited(absl::string_view what);

// Writes a warning of permanent data loss, or of its risk, like
// WarnRateLimited() but without its limit. Callers must ensure that it is rare.
void WarnDataLoss(absl::string_view what);

// Admits one event per interval, and counts the others.
//
// Thread-safe; takes no lock, so a forked child cannot find a lock taken.
class RateLimit {
 public:
  explicit constexpr RateLimit(absl::Duration interval) : interval_(interval) {}

  // Returns the number of events rejected since the last admitted one, if the
  // event is admitted at `now`; otherwise returns nothing. `now` is monotonic.
  // `generation` is ForkGeneration::Now(); a forked child starts over.
  std::optional<uint64_t> Admit(absl::Duration now, uint32_t generation) {
    const int64_t now_ns = absl::ToInt64Nanoseconds(now);
    int64_t last_ns = last_ns_.load();
    if (generation_.exchange(generation) != generation) {
      suppressed_ = 0;
    } else if (last_ns != kNever &&
               now - absl::Nanoseconds(last_ns) < interval_) {
      ++suppressed_;
      return std::nullopt;
    }
    if (!last_ns_.compare_exchange_strong(last_ns, now_ns)) {
      ++suppressed_;
      return std::nullopt;
    }
    return suppressed_.exchange(0);
  }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min();

  const absl::Duration interval_;
  std::atomic<int64_t> last_ns_{kNever};
  std::atomic<uint64_t> suppressed_{0};
  std::atomic<uint32_t> generation_{0};
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_STDERR_LOG_H_
