#include "ringlog/tools/crash_demo/crash_counters.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/status/status.h"

namespace ringlog {

absl::StatusOr<SharedCrashCounters> SharedCrashCounters::Create() {
  const int fd = memfd_create("crash_counters", 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot create shared memory");
  if (ftruncate(fd, sizeof(CrashCounters)) != 0) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, "cannot resize shared memory");
  }
  return Open(fd);
}

absl::StatusOr<SharedCrashCounters> SharedCrashCounters::Open(int fd) {
  void* memory = mmap(nullptr, sizeof(CrashCounters), PROT_READ | PROT_WRITE,
                      MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, "cannot map the crash counters");
  }
  return SharedCrashCounters(fd, static_cast<CrashCounters*>(memory));
}

SharedCrashCounters::SharedCrashCounters(SharedCrashCounters&& other) noexcept
    : fd_(other.fd_), counters_(other.counters_) {
  other.fd_ = -1;
  other.counters_ = nullptr;
}

SharedCrashCounters::~SharedCrashCounters() {
  if (counters_ == nullptr) return;
  munmap(counters_, sizeof(CrashCounters));
  close(fd_);
}

uint64_t SharedCrashCounters::total_acknowledged() const {
  uint64_t total = 0;
  for (const CrashCounters::Thread& thread : counters_->threads) {
    total += thread.acknowledged.load(std::memory_order_relaxed);
  }
  return total;
}

}  // namespace ringlog
