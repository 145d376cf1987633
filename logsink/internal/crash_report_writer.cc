#include "ringlog/logsink/internal/crash_report_writer.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace ringlog {
namespace {

std::atomic<const CrashArea*> g_area{nullptr};
static_assert(std::atomic<const CrashArea*>::is_always_lock_free,
              "signal handlers read it");

// Returns the area that this process has set; null if there is none.
const CrashArea* OwnCrashArea() {
  // Acquire: pairs with SetCrashArea() and ReplaceCrashArea().
  const CrashArea* const area = g_area.load(std::memory_order_acquire);
  return area != nullptr && area->owner() == getpid() ? area : nullptr;
}

int32_t ThreadId() { return static_cast<int32_t>(syscall(SYS_gettid)); }

// Returns the Unix time. absl::Now() is not safe in a signal handler.
int64_t UnixNanos() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

void SetCrashArea(const CrashArea* area) {
  g_area.store(area, std::memory_order_release);
}

void ReplaceCrashArea(const CrashArea* from, const CrashArea* to) {
  g_area.compare_exchange_strong(from, to, std::memory_order_release,
                                 std::memory_order_relaxed);
}

void AppendToCrashReport(absl::string_view text) {
  const CrashArea* const area = OwnCrashArea();
  if (area != nullptr) area->Append(ThreadId(), UnixNanos(), text);
}

void EndCrashReport() {
  const CrashArea* const area = OwnCrashArea();
  if (area != nullptr) area->End(ThreadId(), UnixNanos());
}

}  // namespace ringlog
