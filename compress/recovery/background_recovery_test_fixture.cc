#include "ringlog/compress/recovery/background_recovery_test_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/match.h"

namespace ringlog {

std::atomic<Gate*> g_gate{nullptr};
std::atomic<bool> g_is_stuck{false};

}  // namespace ringlog

// The C library's declaration promises the compiler that it throws nothing.
extern "C" int unlink(const char* name) noexcept {
  const bool is_ring = absl::EndsWith(name, ".ring");
  ringlog::Gate* const gate = is_ring ? ringlog::g_gate.load() : nullptr;
  if (gate != nullptr) {
    gate->has_come.Send();
    gate->may_go_on.Await();
  }
  if (is_ring && ringlog::g_is_stuck) {
    errno = EACCES;
    return -1;
  }
  const auto result =
      static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, name, 0));
  if (gate != nullptr) gate->has_deleted.Send();
  return result;
}
