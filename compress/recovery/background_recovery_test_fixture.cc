#include "ringlog/compress/recovery/background_recovery_test_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/match.h"

namespace ringlog {

std::atomic<Gate*> g_gate{nullptr};
std::atomic<bool> g_is_stuck{false};
std::atomic<int> g_attempts{0};

namespace {

int Unlink(const char* name) {
  return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, name, 0));
}

int UnlinkRing(const char* name) {
  ++g_attempts;
  Gate* gate = g_gate.load();
  if (gate != nullptr && !gate->ring.empty() && gate->ring != name) {
    gate = nullptr;
  }
  if (gate != nullptr) {
    gate->has_come.Send();
    gate->may_go_on.Await();
  }
  if (g_is_stuck) {
    errno = EACCES;
    return -1;
  }
  const int result = Unlink(name);
  if (gate != nullptr) gate->has_deleted.Send();
  return result;
}

}  // namespace
}  // namespace ringlog

// The C library declares it noexcept.
extern "C" int unlink(const char* name) noexcept {
  return absl::EndsWith(name, ".ring") ? ringlog::UnlinkRing(name)
                                       : ringlog::Unlink(name);
}
