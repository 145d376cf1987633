#include "ringlog/logsink/failure_writer.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

#include "ringlog/logsink/internal/failure_target.h"
#include "ringlog/ring/crash_area.h"

namespace ringlog {

void FailureWriter(const char* text) {
  const CrashArea* const area = FailureTarget();
  if (area == nullptr) return;
  const auto tid = static_cast<int32_t>(syscall(SYS_gettid));
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t time_ns = int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
  if (text != nullptr) {
    area->Append(tid, time_ns, text);
  } else {
    area->End(tid, time_ns);
  }
}

}  // namespace ringlog
