#include "ringlog/ring/os/process_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace ringlog {
namespace {

// Reads a file of /proc that is shorter than 4096 bytes.
std::string ReadSmallFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char buffer[4096];
  ssize_t n;
  do {
    n = read(fd, buffer, sizeof buffer);
  } while (n < 0 && errno == EINTR);
  close(fd);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
}

// Fields of /proc/PID/stat; zeros if it cannot be read.
struct ProcessStat {
  char state = 0;
  uint64_t threads = 0;
  uint64_t start_ticks = 0;
};

ProcessStat ReadStat(absl::string_view process) {
  const std::string text =
      ReadSmallFile(absl::StrCat("/proc/", process, "/stat"));
  // Field 2 is the program's name in parentheses; the name may contain any
  // character.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(text).substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 3 - 3, kThreads = 20 - 3, kStart = 22 - 3;
  ProcessStat stat;
  if (fields.size() <= kStart ||
      !absl::SimpleAtoi(fields[kThreads], &stat.threads) ||
      !absl::SimpleAtoi(fields[kStart], &stat.start_ticks)) {
    return {};
  }
  stat.state = fields[kState][0];
  return stat;
}

// Returns true if the process has ended and its parent has not waited for it.
// If only the first thread has ended, the process still lives.
bool IsZombie(const ProcessStat& stat) {
  return (stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1;
}

std::array<uint8_t, 16> BootId() {
  std::array<uint8_t, 16> id = {};
  size_t digits = 0;
  for (char c : ReadSmallFile("/proc/sys/kernel/random/boot_id")) {
    int value = 0;
    if (c == '-' || c == '\n') continue;
    if (c >= '0' && c <= '9') {
      value = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      value = c - 'a' + 10;
    } else {
      return {};
    }
    if (digits == 2 * id.size()) return {};
    id[digits / 2] = static_cast<uint8_t>(id[digits / 2] << 4 | value);
    ++digits;
  }
  return digits == 2 * id.size() ? id : std::array<uint8_t, 16>{};
}

}  // namespace

ProcessIdentity CurrentProcess() {
  ProcessIdentity identity;
  identity.process_id = getpid();
  // "self" instead of the id: in a container with the host's /proc, the id is
  // that of another process.
  identity.start_ticks = ReadStat("self").start_ticks;
  identity.boot_id = BootId();
  return identity;
}

bool MayBeAlive(const ProcessIdentity& process) {
  const std::array<uint8_t, 16> unknown = {};
  const std::array<uint8_t, 16> boot = BootId();
  if (process.boot_id != unknown && boot != unknown &&
      process.boot_id != boot) {
    return false;
  }
  // kill() interprets ids below 1 as process groups.
  if (process.process_id < 1 ||
      process.process_id > std::numeric_limits<pid_t>::max()) {
    return false;
  }
  const int error =
      kill(static_cast<pid_t>(process.process_id), 0) == 0 ? 0 : errno;
  if (error == ESRCH) return false;
  const ProcessStat stat = ReadStat(absl::StrCat(process.process_id));
  if (IsZombie(stat)) return false;
  const bool is_hidden = stat.state == 0 && ReadStat("self").state != 0;
  if (error == EPERM && is_hidden && process.start_ticks != 0) return false;
  return process.start_ticks == 0 || stat.start_ticks == 0 ||
         stat.start_ticks == process.start_ticks;
}

bool MayHaveMapped(int64_t process_id, absl::string_view name) {
  const int fd = open(absl::StrCat("/proc/", process_id, "/maps").c_str(),
                      O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  // Also matches a name with a suffix, because the kernel appends " (deleted)".
  const std::string wanted = absl::StrCat("/", name);
  std::string window;
  uint64_t bytes = 0;
  bool found = false;
  char buffer[4096];
  for (ssize_t n = 1; n != 0 && !found;) {
    n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      close(fd);
      return true;
    }
    bytes += static_cast<uint64_t>(n);
    window.append(buffer, static_cast<size_t>(n));
    found = absl::StrContains(window, wanted);
    // The name may continue in the next read.
    if (window.size() > wanted.size()) {
      window.erase(0, window.size() - wanted.size());
    }
  }
  close(fd);
  // The kernel shows no mappings if the first thread has ended, even if other
  // threads run.
  return found || bytes == 0;
}

bool IsOfThisBoot(const std::array<uint8_t, 16>& boot_id) {
  return boot_id == BootId();
}

std::string ProgramName() { return program_invocation_short_name; }

std::string HostName() {
  char name[256];
  if (gethostname(name, sizeof name) != 0) return "";
  name[sizeof name - 1] = '\0';
  return name;
}

}  // namespace ringlog
