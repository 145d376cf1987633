#include "ringlog/logsink/internal/failure_target.h"

#include <unistd.h>

#include <atomic>

namespace ringlog {
namespace {

std::atomic<const CrashArea*> g_target{nullptr};
static_assert(std::atomic<const CrashArea*>::is_always_lock_free,
              "it is read in signal handlers");

}  // namespace

void SetFailureTarget(const CrashArea* area) {
  g_target.store(area, std::memory_order_release);
}

void ReplaceFailureTarget(const CrashArea* from, const CrashArea* to) {
  g_target.compare_exchange_strong(from, to, std::memory_order_release,
                                   std::memory_order_relaxed);
}

const CrashArea* FailureTarget() {
  // Acquire: pairs with SetFailureTarget(), which others may just have called.
  const CrashArea* const area = g_target.load(std::memory_order_acquire);
  return area != nullptr && area->owner() == getpid() ? area : nullptr;
}

}  // namespace ringlog
