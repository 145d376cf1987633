// What the library itself has to say.

#ifndef RINGLOG_RING_OS_STDERR_LOG_H_
#define RINGLOG_RING_OS_STDERR_LOG_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ringlog {

// Writes "ringlog: WHAT" to the descriptor of stderr: not by LOG, which may be
// what is not working, nor by stdio, which may be locked. One line a minute,
// for the whole process; the next one says how many there would have been.
// Never ends the process, nor waits for who reads a pipe, a socket or a
// terminal: if nobody does, the line is lost. Any thread.
void WarnRateLimited(absl::string_view what);

// The same of what is lost for good, which no limit may hold back: callers see
// to it that it is rare.
void WarnDataLoss(absl::string_view what);

// Lets one event through in each interval, and counts the others.
//
// Thread-safe; takes no lock, so that a forked child finds none taken.
class RateLimit {
 public:
  explicit constexpr RateLimit(absl::Duration interval) : interval_(interval) {}

  // Whether one may pass at `now`, of a clock that does not go back, in a
  // process of this ForkGeneration: then how many were held back since the last
  // one. A forked child begins anew.
  std::optional<uint64_t> Admit(absl::Duration now, uint32_t generation) {
    const int64_t now_ns = absl::ToInt64Nanoseconds(now);
    int64_t last_ns = last_ns_.load();
    if (generation_.exchange(generation) != generation) {
      held_back_ = 0;
    } else if (last_ns != kNever &&
               now - absl::Nanoseconds(last_ns) < interval_) {
      ++held_back_;
      return std::nullopt;
    }
    if (!last_ns_.compare_exchange_strong(last_ns, now_ns)) {
      ++held_back_;
      return std::nullopt;
    }
    return held_back_.exchange(0);
  }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min();

  const absl::Duration interval_;
  std::atomic<int64_t> last_ns_{kNever};
  std::atomic<uint64_t> held_back_{0};
  std::atomic<uint32_t> generation_{0};
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_STDERR_LOG_H_
