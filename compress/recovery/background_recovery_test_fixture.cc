#include "ringlog/compress/recovery/background_recovery_test_fixture.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {

std::atomic<Gate*> g_gate{nullptr};
std::atomic<bool> g_is_stuck{false};
std::atomic<int> g_attempts{0};

namespace {

int UnlinkAt(int directory, const char* name, int flags) {
  if (g_is_stuck) {
    errno = EACCES;
    return -1;
  }
  return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
}

int UnlinkRingAt(int directory, const char* name, int flags) {
  ++g_attempts;
  Gate* gate = g_gate.load();
  if (gate != nullptr && !gate->ring.empty() && Basename(gate->ring) != name) {
    gate = nullptr;
  }
  const DeletionPass pass(gate);
  return UnlinkAt(directory, name, flags);
}

}  // namespace
}  // namespace ringlog

// The C library declares it noexcept.
extern "C" int unlinkat(int directory, const char* name, int flags) noexcept {
  return absl::EndsWith(name, ".ring")
             ? ringlog::UnlinkRingAt(directory, name, flags)
             : ringlog::UnlinkAt(directory, name, flags);
}
