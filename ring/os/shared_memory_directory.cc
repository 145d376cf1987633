#include "ringlog/ring/os/shared_memory_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/directory_trust.h"

namespace ringlog {
namespace {

constexpr int kNames = 10;

std::string NameOf(uid_t user, int number) {
  return absl::StrCat("/dev/shm/ringlog-", user,
                      number == 0 ? "" : absl::StrCat(".", number));
}

enum class NameUse {
  kUnused,
  kPrivate,  // a directory that only `user` may use
  kForeign,
};

NameUse UseOf(const std::string& path, uid_t user) {
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) return NameUse::kUnused;
  return S_ISDIR(st.st_mode) && st.st_uid == user &&
                 (st.st_mode & (S_IRWXG | S_IRWXO)) == 0
             ? NameUse::kPrivate
             : NameUse::kForeign;
}

}  // namespace

std::vector<std::string> SharedMemoryDirectories(uid_t user) {
  std::vector<std::string> found;
  std::vector<std::string> unused;
  for (int number = 0; number < kNames; ++number) {
    const std::string path = NameOf(user, number);
    const NameUse use = UseOf(path, user);
    if (use == NameUse::kPrivate) found.push_back(path);
    if (use == NameUse::kUnused) unused.push_back(path);
  }
  if (found.empty() && !unused.empty()) found.push_back(unused.front());
  return found;
}

absl::StatusOr<std::string> MakeSharedMemoryDirectory() {
  const uid_t user = geteuid();
  // Another user may take a name in the meantime.
  for (int attempt = 0; attempt < kNames; ++attempt) {
    const std::vector<std::string> found = SharedMemoryDirectories(user);
    if (found.empty()) break;
    const absl::Status made = MakeDirectory(found.front(), 0700);
    if (UseOf(found.front(), user) == NameUse::kPrivate) return found.front();
    if (!made.ok()) return made;
  }
  return absl::AlreadyExistsError(
      absl::StrCat("make directory ", NameOf(user, 0),
                   ": other users have taken this name and the next ones"));
}

}  // namespace ringlog
