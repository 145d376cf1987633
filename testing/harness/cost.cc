#include "ringlog/testing/harness/cost.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "ringlog/testing/harness/run_child.h"

namespace ringlog {
namespace {

// Returns the number after `name` in a file of /proc.
uint64_t ProcValue(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (word != name) continue;
    uint64_t value = 0;
    file >> value;
    return value;
  }
  LOG(FATAL) << "no " << name << " in " << path;
}

uint64_t MemoryValue(const std::string& name) {
  return ProcValue("/proc/self/status", name) << 10;
}

// Makes the present memory the peak.
void ResetPeak() {
  malloc_trim(0);
  const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  PCHECK(fd >= 0 && write(fd, "5", 1) == 1);
  close(fd);
}

Cost Measure(const std::function<void()>& body) {
  ResetPeak();
  const uint64_t memory = MemoryValue("VmRSS:");
  const uint64_t read = BytesReadBy(getpid());
  body();
  Cost cost;
  cost.read_bytes = BytesReadBy(getpid()) - read;
  cost.memory_bytes = MemoryValue("VmHWM:") - memory;
  return cost;
}

}  // namespace

Cost CostOf(const std::function<void()>& body) {
  int fds[2];
  PCHECK(pipe2(fds, O_CLOEXEC) == 0);
  const pid_t child = StartChild([&] {
    const Cost cost = Measure(body);
    PCHECK(write(fds[1], &cost, sizeof cost) == sizeof cost);
  });
  close(fds[1]);
  Cost cost;
  const ssize_t size = read(fds[0], &cost, sizeof cost);
  close(fds[0]);
  CHECK_EQ(AwaitChild(child), 0);
  CHECK_EQ(size, static_cast<ssize_t>(sizeof cost));
  return cost;
}

uint64_t BytesReadBy(pid_t process) {
  return ProcValue(absl::StrCat("/proc/", process, "/io"), "rchar:");
}

}  // namespace ringlog
